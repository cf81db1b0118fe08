//! Changes of the cookies that back ends set: what an application believes of its own path and domain is wrong behind a
//! route that gives it others.

use std::sync::Arc;

use super::header::is_token_byte;

/// Changes of `Set-Cookie`, whoever of Envoy and the back end wrote it. Of several that name a cookie, the first that says
/// anything about an attribute is taken for it. Attributes that none is about stay as they are, in their place; missing ones
/// are added behind the others, in the order of the fields here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CookieRewrites(Vec<CookieRewrite>);

impl CookieRewrites {
    /// Most of them: each costs time for each cookie of an answer.
    pub const MOST: usize = 64;

    /// These, in this order.
    ///
    /// # Errors
    ///
    /// One sentence where there are too many, or one changes nothing.
    pub fn new(rewrites: Vec<CookieRewrite>) -> Result<Self, String> {
        if rewrites.len() > Self::MOST {
            let most = Self::MOST;
            return Err(format!(
                "more than {most} changes of cookies are for a route"
            ));
        }
        if rewrites.iter().any(CookieRewrite::is_nothing) {
            return Err("a change of cookies changes no attribute".into());
        }
        Ok(Self(rewrites))
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &CookieRewrite> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A change of some cookies' attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CookieRewrite {
    name: Option<Arc<str>>,
    path: Option<AttributeRewrite>,
    domain: Option<AttributeRewrite>,
    /// Whether they are `Secure`.
    pub secure: Option<bool>,
    /// Whether they are `HttpOnly`.
    pub http_only: Option<bool>,
    /// To which requests of other sites they are added.
    pub same_site: Option<SameSite>,
}

/// What becomes of an attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttributeRewrite {
    /// It is this, also where the cookie lacks the attribute.
    Set(Arc<str>),
    /// Where it is like `from` it becomes `to`: of a path its beginning, of a domain all of it, whatever its case and a dot in
    /// front.
    Replace {
        /// What it was.
        from: Arc<str>,
        /// What it is to be.
        to: Arc<str>,
    },
}

/// To which requests of other sites a cookie is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SameSite {
    /// To none.
    Strict,
    /// To those by which a user follows a link.
    Lax,
    /// To all.
    None,
}

impl SameSite {
    /// As the attribute has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl CookieRewrite {
    /// Of every cookie. A text without `=` is none.
    #[must_use]
    pub fn of_all() -> Self {
        Self::default()
    }

    /// Of cookies with this name. Its case counts.
    ///
    /// # Errors
    ///
    /// One sentence where no cookie can have it.
    pub fn of(name: &str) -> Result<Self, String> {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(format!("{name:?} is no cookie name (RFC 6265, 4.1.1)"));
        }
        Ok(Self {
            name: Some(name.into()),
            ..Self::default()
        })
    }

    /// Their path becomes this.
    ///
    /// # Errors
    ///
    /// One sentence where a cookie can't have it.
    pub fn path(mut self, rewrite: AttributeRewrite) -> Result<Self, String> {
        self.path = Some(rewrite.checked("path")?);
        Ok(self)
    }

    /// Their domain becomes this.
    ///
    /// # Errors
    ///
    /// One sentence where a cookie can't have it.
    pub fn domain(mut self, rewrite: AttributeRewrite) -> Result<Self, String> {
        self.domain = Some(rewrite.checked("domain")?);
        Ok(self)
    }

    /// Which cookies: `None` for all.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What becomes of their path.
    #[must_use]
    pub const fn path_rewrite(&self) -> Option<&AttributeRewrite> {
        self.path.as_ref()
    }

    /// What becomes of their domain.
    #[must_use]
    pub const fn domain_rewrite(&self) -> Option<&AttributeRewrite> {
        self.domain.as_ref()
    }

    fn is_nothing(&self) -> bool {
        *self
            == Self {
                name: self.name.clone(),
                ..Self::default()
            }
    }
}

/// Longest value of an attribute. Browsers take 1024 bytes of one (RFC 6265bis, 5.6).
const MAX_VALUE: usize = 1024;

impl AttributeRewrite {
    fn checked(self, what: &str) -> Result<Self, String> {
        let texts = match &self {
            Self::Set(value) => [value, value],
            Self::Replace { from, to } => [from, to],
        };
        let is_sent = |byte| matches!(byte, b'!'..=b'~') && byte != b';';
        let is_value =
            |text: &str| !text.is_empty() && text.len() <= MAX_VALUE && text.bytes().all(is_sent);
        match texts.iter().find(|text| !is_value(text)) {
            Some(text) => Err(format!("{text:?} can't be a cookie's {what}")),
            None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_would_be_another_attribute_is_refused() {
        let set = |text: &str| AttributeRewrite::Set(text.into());
        let from = |from: &str, to: &str| AttributeRewrite::Replace {
            from: from.into(),
            to: to.into(),
        };
        let long = "a".repeat(MAX_VALUE + 1);
        for (rewrite, is_taken) in [
            (set("/a"), true),
            (set(&long[1..]), true),
            (set(&long), false),
            (set(""), false),
            (set("/a; Secure"), false),
            (set("/a b"), false),
            (set("/a\r\nb: c"), false),
            (set("/\u{e4}"), false),
            (from("/a", "/"), true),
            (from("", "/"), false),
            (from("/a", "/b;"), false),
        ] {
            let all = CookieRewrite::of_all;
            assert_eq!(all().path(rewrite.clone()).is_ok(), is_taken, "{rewrite:?}");
            assert_eq!(
                all().domain(rewrite.clone()).is_ok(),
                is_taken,
                "{rewrite:?}"
            );
        }
        for name in ["", "a b", "a;b", "a=b", "\u{e4}"] {
            assert!(CookieRewrite::of(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn changes_are_some_and_not_too_many() {
        let one = CookieRewrite::of("a").unwrap();
        let secure = CookieRewrite {
            secure: Some(false),
            ..one.clone()
        };
        assert!(CookieRewrites::new(vec![one]).is_err());
        assert!(CookieRewrites::new(vec![]).unwrap().is_empty());
        assert!(CookieRewrites::new(vec![secure.clone(); CookieRewrites::MOST]).is_ok());
        assert!(CookieRewrites::new(vec![secure; CookieRewrites::MOST + 1]).is_err());
    }
}
