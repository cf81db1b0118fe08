//! What is kept of Secrets, and that nothing quotes them.

use serde_json::{Value, json};

use super::{check_reason, valid};
use crate::objects::decode::*;
use crate::objects::*;

const MARKER: &str = "c2VjcmV0LW1hcmtlcg";

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn secret() {
    let (chain, key) = (
        include_str!("../../../../tests/data/certificates/p256.crt"),
        include_str!("../../../../tests/data/certificates/p256.key"),
    );
    let secret = |secret_type: &str, data: Value| {
        let object =
            json!({"metadata": {"name": "s", "namespace": "n"}, "type": secret_type, "data": data});
        let Object::Secret(secret) = valid(Kind::Secret, &object) else {
            panic!("not a Secret");
        };
        let shown = format!("{secret:?}");
        assert!(!shown.contains(key.lines().nth(1).unwrap()) && !shown.contains(MARKER));
        secret
    };
    let tls = "kubernetes.io/tls";
    let good = secret(
        tls,
        json!({"tls.crt": base64(chain), "tls.key": base64(key), "ca.crt": ""}),
    );
    let pair = good.certificate.as_ref().unwrap();
    assert_eq!(pair.key_algorithm, KeyAlgorithm::Ecdsa);
    let plain = base64(key);
    let (first, last) = plain.split_at(20);
    let wrapped = format!("{first}\n{last}\n");
    let same = secret(tls, json!({"tls.crt": base64(chain), "tls.key": wrapped}));
    assert_eq!(same.certificate, good.certificate);

    for (secret_type, data, expected) in [
        (
            "Opaque",
            json!({"tls.crt": MARKER}),
            "its tls.crt is not base64",
        ),
        ("", json!({"tls.crt": base64(chain)}), "it has no tls.key"),
        ("Opaque", json!({"ca.crt": MARKER}), "it has no tls.crt"),
        (tls, json!({"tls.key": base64(key)}), "it has no tls.crt"),
        (tls, json!({"tls.crt": base64(chain)}), "it has no tls.key"),
        (
            tls,
            json!({"tls.crt": null, "tls.key": ""}),
            "its tls.crt is empty",
        ),
        (
            tls,
            json!({"tls.crt": base64(chain), "tls.key": format!("{MARKER}!")}),
            "its tls.key is not base64",
        ),
        (
            tls,
            json!({"tls.crt": base64(chain), "tls.key": base64(MARKER)}),
            "tls.key has no PEM block PRIVATE KEY",
        ),
    ] {
        let reason = secret(secret_type, data).certificate.clone().unwrap_err();
        assert_eq!(&*reason, expected);
    }
}

/// Of a Secret for others nothing is kept, not even that it is there.
#[test]
fn what_is_kept_of_a_secret() {
    let authority = include_str!("../../../../tests/data/certificates/p256.crt");
    let opaque = |data: &Value| {
        let metadata = json!({"name": "s", "namespace": "n"});
        json!({"metadata": metadata, "type": "Opaque", "data": data}).to_string()
    };
    let decoded = |json: &str, rules| {
        let object = decode_versioned(Kind::Secret, json, rules).unwrap().object;
        let shown = format!("{object:?}");
        assert!(!shown.contains(MARKER), "{shown}");
        object
    };
    let others = opaque(&json!({"password": base64(MARKER)}));
    let unused = ObjectRef::new(Kind::Secret, "n", "s");
    assert_eq!(
        decoded(&others, Rules::Stored),
        Object::Unused(unused.clone())
    );
    let docker = others.replace("Opaque", "kubernetes.io/dockerconfigjson");
    let docker = docker.replace("password", "ca.crt");
    assert_eq!(decoded(&docker, Rules::Stored), Object::Unused(unused));
    // In a manifest it may be told.
    for (json, why) in [
        (&others, "it has no tls.crt"),
        (&docker, "its type is neither kubernetes.io/tls nor Opaque"),
    ] {
        let Object::Secret(secret) = decoded(json, Rules::Create) else {
            panic!("{json}");
        };
        assert_eq!(secret.certificate, Err(why.into()));
        assert_eq!(secret.check_authorities(), Err("it has no ca.crt"));
        assert_eq!(secret.check_revocations(), Err("it has no crl.pem"));
    }
    let data = json!({"ca.crt": base64(authority), "crl.pem": base64(MARKER), "x": base64(MARKER)});
    let Object::Secret(secret) = decoded(&opaque(&data), Rules::Stored) else {
        panic!("it is used");
    };
    let authorities = secret.check_authorities().unwrap().as_pem();
    assert_eq!(authorities, authority);
    let why = "crl.pem has no PEM block X509 CRL";
    assert_eq!(secret.check_revocations(), Err(why));
}

#[test]
fn reasons_of_secrets_quote_nothing() {
    let meta = r#""metadata":{"name":"s","namespace":"n"}"#;
    let shape = "the object does not have the shape of a v1 Secret";
    for (object, expected) in [
        (
            format!(r#"{{{meta},"data":{{"tls.key":["{MARKER}"]}}}}"#),
            "data: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes",
        ),
        (
            format!(r#"{{{meta},"data":"{MARKER}"}}"#),
            "data: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes",
        ),
        (
            format!(r#"{{{meta},"data":{{"{MARKER}":1}}}}"#),
            "data: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes",
        ),
        (
            format!(r#"{{{meta},"type":{{"{MARKER}":1}}}}"#),
            "type: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes",
        ),
        (
            format!(r#"{{{meta},"data":{{"{MARKER} ":""}}}}"#),
            "data: Invalid value: a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        ),
        (
            format!(
                r#"{{"metadata":{{"name":"s","namespace":"n","annotations":{{"a":{{"{MARKER}":1}}}}}}}}"#
            ),
            "metadata: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes",
        ),
        (
            format!(r#"{{{meta},"data":{{}},"data":{{"{MARKER}":""}}}}"#),
            shape,
        ),
    ] {
        check_reason(Kind::Secret, &object, expected);
    }
    let cut = format!(r#"{{{meta},"data":{{"tls.key":"{MARKER}"#);
    let error = decode(Kind::Secret, &cut).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(MARKER));
}
