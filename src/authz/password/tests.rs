//! Hashes that other programs have made (openssl, crypt(3) of glibc, hashlib).

#![allow(clippy::unwrap_used)]

use crate::objects::Credentials;

use super::*;

const HASHES: [&str; 9] = [
    "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0",
    "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
    "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
    "$6$rounds=1000$abc$MqEcPZUYRGGcOeq7PhMpfjfu/F0HrVEI0OlZBijWvO8mSG77iNUDP5MqFceKpJTBc8iITVtNyLiNTRNCxv6oh0",
    "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
    "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0",
];

#[test]
fn hashes_of_other_programs_are_checked() {
    for hash in HASHES.into_iter().chain(["{PLAIN}secret"]) {
        assert!(verify(hash, b"secret"), "{hash}");
        for wrong in [&b"Secret"[..], b"secre", b"secrets", b"", b"secret\0"] {
            assert!(!verify(hash, wrong), "{hash} {wrong:?}");
        }
    }
    let long = b"a much longer password than sixteen bytes";
    assert!(verify("$apr1$ab$ZgbyBttfAvWjwKDroS41O1", long));
}

/// Whatever a Secret has, it is no password and no panic.
#[test]
fn what_is_no_hash_is_no_password() {
    for hash in HASHES {
        for end in 0..hash.len() {
            assert!(!verify(&hash[..end], b"secret"), "{}", &hash[..end]);
            assert!(!verify(&hash[..end], b""), "{}", &hash[..end]);
        }
    }
    for hash in [
        "",
        "secret",
        "{SSHA}",
        "{SHA}",
        "$apr1$",
        "$1$$",
        "$2y$05$",
        "$6$",
        "$6$rounds=x$a$b",
        "{SSHA}5en6",
    ] {
        assert!(!verify(hash, b""), "{hash}");
        assert!(!verify(hash, b"secret"), "{hash}");
    }
}

fn passwords(lines: &str) -> Passwords {
    Passwords {
        credentials: Credentials::from_htpasswd("auth", lines.as_bytes()).unwrap(),
    }
}

fn secret(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_changed_password_is_no_longer_right() {
    let checks = Checks::new(2).unwrap();
    let of: Arc<str> = "htpasswd/ns/users".into();
    let before = passwords(&format!("a:{}", HASHES[0]));
    for (name, text, expected) in [
        ("a", "secret", Checked::Right),
        ("a", "secret", Checked::Right),
        ("a", "wrong", Checked::Wrong),
        ("b", "secret", Checked::Wrong),
        ("", "secret", Checked::Wrong),
    ] {
        let checked = checks.check(&of, &before, name, secret(text)).await;
        assert_eq!(checked, expected, "{name} {text}");
    }
    let after = passwords("a:$1$ab$other\nb:{PLAIN}x");
    assert_eq!(
        checks.check(&of, &after, "a", secret("secret")).await,
        Checked::Wrong
    );
    let long = "x".repeat(LONGEST + 1);
    let plain = passwords(&format!("a:{{PLAIN}}{long}"));
    assert_eq!(
        checks.check(&of, &plain, "a", secret(&long)).await,
        Checked::Wrong
    );
}

/// Whoever tries passwords of one Secret does not keep another one's clients out, and does not pass.
#[tokio::test(start_paused = true)]
async fn what_has_no_turn_is_refused() {
    let checks = Checks::new(2).unwrap();
    let of: Arc<str> = "htpasswd/ns/users".into();
    let users = passwords(&format!("a:{}", HASHES[0]));
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let held = checks.turn(&of, move || gone.recv().is_err());
    let mut held = std::pin::pin!(held);
    assert!(futures::poll!(held.as_mut()).is_pending());
    let waits = checks.check(&of, &users, "a", secret("secret"));
    let mut waits = std::pin::pin!(waits);
    assert!(futures::poll!(waits.as_mut()).is_pending());
    // Time does not pass by itself while a thread works.
    tokio::time::advance(PATIENCE).await;
    assert_eq!(waits.await, Checked::Busy);
    let other: Arc<str> = "htpasswd/other/users".into();
    let checked = checks.check(&other, &users, "a", secret("secret")).await;
    assert_eq!(checked, Checked::Right);
    drop(go);
    assert_eq!(held.await, Some(true));
}
