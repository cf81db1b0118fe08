//! The certificate that the operator has Envoy show to endpoints by TLS.

use crate::translate::Input;

use super::condition::{self, Fault};
use super::context::Unusable;

/// That the certificate which endpoints are to be shown can be used.
///
/// # Errors
///
/// Why it can't.
pub fn check(input: Input<'_>) -> Result<(), Fault> {
    let Some(secret) = &input.options.upstream.client_certificate else {
        return Ok(());
    };
    let names = input.reader.certificate_names(secret).map(|_| ());
    names.map_err(|why| {
        let why = Unusable::of(why).text();
        let message = format!("tls.envoy-client-certificate Secret \"{secret}\" is invalid: {why}");
        Fault::new(condition::SECRET_NOT_VALID, message)
    })
}
