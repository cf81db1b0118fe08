//! What is answered to Envoy.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status;

/// `PERMISSION_DENIED` of gRPC: any code but 0 is a no.
const DENIED: i32 = 7;

/// Whether a request passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Passes(Passed),
    /// It does not.
    Refused(Refused),
}

/// What is done to a request that passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Headers that the back end sees, in the place of the client's own.
    pub set: Vec<(String, String)>,
    /// Headers that it does not see.
    pub removed: Vec<String>,
    /// Cookies for the client.
    pub cookies: Vec<String>,
}

/// What the client of a refused request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// Headers, each as often as it is here.
    pub headers: Vec<(String, String)>,
    /// Cookies that it may get besides: they are sent only once they are headers.
    pub cookies: Vec<String>,
}

impl Answer {
    /// What it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pairs = |pairs: &[(String, String)]| -> usize {
            let pairs = pairs.iter();
            pairs.map(|(name, value)| name.len() + value.len()).sum()
        };
        let texts = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        match self {
            Self::Passes(it) => pairs(&it.set) + texts(&it.removed) + texts(&it.cookies),
            Self::Refused(it) => pairs(&it.headers) + texts(&it.cookies),
        }
    }
}

impl Refused {
    /// With nothing but a status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            cookies: Vec::new(),
        }
    }

    /// The same with its cookies.
    #[must_use]
    pub fn with_cookies(mut self) -> Self {
        let cookies = std::mem::take(&mut self.cookies).into_iter();
        let cookies = cookies.map(|cookie| ("set-cookie".to_owned(), cookie));
        self.headers.extend(cookies);
        self
    }
}

impl Passed {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.set.extend(other.set);
        self.removed.extend(other.removed);
        self.cookies.extend(other.cookies);
        self
    }
}

impl From<Answer> for CheckResponse {
    fn from(answer: Answer) -> Self {
        let (code, response) = match answer {
            Answer::Passes(passed) => {
                let set =
                    |(name, value)| header(name, value, HeaderAppendAction::OverwriteIfExistsOrAdd);
                let add = |value| {
                    header(
                        "set-cookie".to_owned(),
                        value,
                        HeaderAppendAction::AppendIfExistsOrAdd,
                    )
                };
                let response = OkHttpResponse {
                    headers: passed.set.into_iter().map(set).collect(),
                    headers_to_remove: passed.removed,
                    response_headers_to_add: passed.cookies.into_iter().map(add).collect(),
                    ..Default::default()
                };
                (0, HttpResponse::OkResponse(response))
            }
            Answer::Refused(refused) => {
                let add =
                    |(name, value)| header(name, value, HeaderAppendAction::AppendIfExistsOrAdd);
                let response = DeniedHttpResponse {
                    status: Some(HttpStatus {
                        code: refused.status.into(),
                    }),
                    headers: refused.headers.into_iter().map(add).collect(),
                    body: String::new(),
                };
                (DENIED, HttpResponse::DeniedResponse(response))
            }
        };
        Self {
            status: Some(Status {
                code,
                ..Default::default()
            }),
            http_response: Some(response),
            ..Default::default()
        }
    }
}

fn header(key: String, value: String, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key,
            value,
            ..Default::default()
        }),
        append_action: action.into(),
        ..Default::default()
    }
}
