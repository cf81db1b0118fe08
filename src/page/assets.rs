//! The files of the page, as they are in this program.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// What the page may do: load its own scripts, styles and picture, and ask here. Nothing in its text is run, and no other page may
/// frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Where it is served.
    pub path: &'static str,
    /// Its line in the index of pages; empty for those that another one loads.
    pub about: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! script {
    ($name:literal) => {
        Asset {
            path: concat!("/page/", $name),
            about: "",
            content_type: SCRIPT,
            bytes: include_bytes!(concat!("assets/", $name)),
        }
    };
}

/// All of them.
pub const ALL: &[Asset] = &[
    Asset {
        path: "/",
        about: "all of this for a person with a browser",
        content_type: "text/html; charset=utf-8",
        bytes: include_bytes!("assets/index.html"),
    },
    Asset {
        path: "/page/style.css",
        about: "",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/style.css"),
    },
    Asset {
        path: "/page/icon.svg",
        about: "",
        content_type: "image/svg+xml",
        bytes: include_bytes!("assets/icon.svg"),
    },
    script!("app.js"),
    script!("changes.js"),
    script!("conflicts.js"),
    script!("dom.js"),
    script!("explain.js"),
    script!("host.js"),
    script!("hosts.js"),
    script!("list.js"),
    script!("objects.js"),
    script!("overview.js"),
    script!("server.js"),
];

impl Asset {
    /// The answer to who asks for it.
    pub fn response(self) -> Response {
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.content_type),
            ),
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(POLICY),
            ),
        ];
        (headers, self.bytes).into_response()
    }
}
