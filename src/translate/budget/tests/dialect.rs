//! What ingress-nginx's dialect costs.

use super::*;

/// What annotations make of a path is paid by the object that has them, be it many routes.
#[test]
fn paths_of_ingress_nginx_pay_for_all_their_routes() {
    let key = |name: &str| format!("{}{name}", nginx::PREFIX);
    let cost = |annotations: &[(&str, &str)]| {
        let annotations: Vec<(String, &str)> = annotations
            .iter()
            .map(|(name, value)| (key(name), *value))
            .collect();
        let annotations: Vec<(&str, &str)> = annotations
            .iter()
            .map(|(name, value)| (&**name, *value))
            .collect();
        let left = |count| {
            let rule = rule("a.test".to_owned(), plain(count));
            let ingress = ingress(&annotations, [], [rule]);
            let account = Account::of(
                &ingress,
                Dialect::IngressNginx,
                &Settings::usual(),
                Compat::Sane,
            );
            BASE + FACTOR * bytes(&ingress) - account.left
        };
        left(2) - left(1)
    };
    let simple = cost(&[]);
    assert!(simple > ROUTE, "{simple}");
    for (annotations, times) in [
        (&[("enable-cors", "true")][..], 2),
        (
            &[
                ("enable-cors", "true"),
                ("cors-allow-origin", "https://a.test"),
            ],
            3,
        ),
        (&[("proxy-next-upstream", "http_503")], 2),
        (
            &[
                ("canary", "true"),
                ("canary-by-header", "a"),
                ("canary-by-cookie", "b"),
            ],
            20,
        ),
    ] {
        let found = cost(annotations);
        assert!(found > times * ROUTE, "{annotations:?}: {found}");
        assert!(found > simple, "{annotations:?}: {found}");
    }
    let many = rule("a.test".to_owned(), plain(40_000));
    let name = key("enable-cors");
    let cut = within_budget(ingress(&[(&name, "true")], [], [many.clone()]));
    assert!(cut.left_out.is_some());
    assert!(within_budget(ingress(&[], [], [many])).left_out.is_none());
}

/// The root that every host has is paid, and so is a cluster that no other Ingress need have.
#[test]
fn what_ingress_nginx_adds_to_hosts_and_ports_is_paid() {
    let nets = (0..256).map(|index| format!("10.0.{index}.0/24"));
    let nets = nets.collect::<Vec<_>>().join(",");
    let key = |name: &str| format!("{}{name}", nginx::PREFIX);
    let hosts = || (0..2000).map(|index| rule(format!("h{index}.test"), Box::default()));
    for (name, value, is_cut) in [
        ("enable-access-log", "true", false),
        ("whitelist-source-range", &*nets, true),
    ] {
        let cut = within_budget(ingress(&[(&key(name), value)], [], hosts()));
        assert_eq!(cut.left_out.is_some(), is_cut, "{name}");
    }
    let ports = |count: u16| {
        let mut all = plain(count.into());
        for (path, number) in all.iter_mut().zip(1..) {
            path.backend = IngressBackend::Service {
                name: "w".into(),
                port: ServiceBackendPort::Number(number),
            };
        }
        rule("a.test".to_owned(), all)
    };
    for (name, value, count, is_cut) in [
        ("enable-access-log", "true", 1800, false),
        ("proxy-connect-timeout", "7", 900, false),
        ("proxy-connect-timeout", "7", 1800, true),
        ("backend-protocol", "AUTO_HTTP", 900, true),
        ("canary", "true", 300, false),
        ("canary", "true", 900, true),
    ] {
        let cut = within_budget(ingress(&[(&key(name), value)], [], [ports(count)]));
        assert_eq!(cut.left_out.is_some(), is_cut, "{name}: {value}, {count}");
    }
}

/// What the dialect adds to an Ingress that says nothing is paid where a flag asks for it, and twice where it is strict.
#[test]
fn what_ingress_nginx_adds_to_plain_paths_is_paid() {
    let cost = |compat| {
        let left = |count| {
            let ingress = ingress(&[], [], [rule("a.test".to_owned(), plain(count))]);
            let account = Account::of(&ingress, Dialect::IngressNginx, &Settings::usual(), compat);
            BASE + FACTOR * bytes(&ingress) - account.left
        };
        left(2) - left(1)
    };
    let (sane, strict) = (cost(Compat::Sane), cost(Compat::Strict));
    assert!(sane > 2 * ROUTE, "{sane}");
    assert!(strict > sane + ROUTE, "{strict}, {sane}");
    for (count, classes, compat, is_cut) in [
        (30_000, &[][..], Compat::Strict, false),
        (30_000, &["own"], Compat::Strict, false),
        (30_000, &["nginx"], Compat::Sane, true),
        (12_000, &["nginx"], Compat::Sane, false),
        (12_000, &["nginx"], Compat::Strict, true),
        (4_000, &["nginx"], Compat::Strict, false),
    ] {
        let plain = ingress(&[], [], [rule("a.test".to_owned(), plain(count))]);
        let cut = within_budget_of(plain, classes, compat);
        assert_eq!(
            cut.left_out.is_some(),
            is_cut,
            "{count}: {classes:?}, {sane}, {strict}"
        );
    }
    // An Ingress that says itself how it answers pays for that.
    let strict = [("isobath.dev/nginx-compat", "strict")];
    for (said, is_cut) in [(&[][..], false), (&strict, true)] {
        let plain = ingress(said, [], [rule("a.test".to_owned(), plain(12_000))]);
        let cut = within_budget_of(plain, &["nginx"], Compat::Sane);
        assert_eq!(cut.left_out.is_some(), is_cut, "{said:?}");
    }
}
