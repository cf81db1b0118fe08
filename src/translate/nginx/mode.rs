//! Which of two answers an Ingress gets where ingress-nginx's own is seldom what is meant.

/// `isobath.dev/nginx-compat`, `--nginx-compat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compat {
    /// What is written is what is meant: each Ingress decides for its own paths, and paths are as Kubernetes has them.
    #[default]
    Sane,
    /// As ingress-nginx answers.
    Strict,
}

/// The annotation of an Ingress.
pub const ANNOTATION: &str = "isobath.dev/nginx-compat";

impl Compat {
    /// By its name.
    ///
    /// # Errors
    ///
    /// One sentence where it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        match text {
            "sane" => Ok(Self::Sane),
            "strict" => Ok(Self::Strict),
            _ => Err(r#"must be "sane" or "strict""#.into()),
        }
    }
}
