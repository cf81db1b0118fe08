//! `Authorization: Basic`.

use std::sync::Arc;

use crate::model::BasicAuthentication;

use super::answer::{Answer, Passed, Refused};
use super::discovery::Discovery;
use super::password::{Checked, Checks};
use super::request::Request;

/// Whether the request brings a password.
pub async fn check(
    basic: &BasicAuthentication,
    request: &Request,
    checks: &Checks,
    discovery: &Discovery,
) -> Answer {
    let Some((name, password)) = request.credentials() else {
        return unauthorized(&basic.realm);
    };
    let of: &Arc<str> = &basic.credentials;
    let Some(passwords) = discovery.passwords(of).await else {
        return Answer::Refused(Refused::status(503));
    };
    match checks.check(of, &passwords, &name, password).await {
        Checked::Right => Answer::Passes(Passed::default()),
        Checked::Wrong => unauthorized(&basic.realm),
        Checked::Busy => Answer::Refused(Refused::status(503)),
    }
}

fn unauthorized(realm: &str) -> Answer {
    let challenge = format!("Basic realm=\"{realm}\"");
    Answer::Refused(Refused {
        status: 401,
        headers: vec![("www-authenticate".to_owned(), challenge)],
        cookies: Vec::new(),
    })
}
