//! Where a request goes.

use hyper::Uri;
use store::Secret;

/// An `http://` or `https://` URL, taken apart.
#[derive(Clone)]
pub struct Address {
    uri: Uri,
    /// It may hold a secret, so it is never shown.
    secret: bool,
}

impl Address {
    /// Reads a URL. The error does not repeat it.
    pub fn parse(url: &str, secret: bool) -> Result<Address, String> {
        let shown = if secret { "the URL".to_owned() } else { format!("`{url}`") };
        let uri: Uri = url.parse().map_err(|error| format!("{shown} is no URL: {error}"))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Address { uri, secret }),
            _ => Err(format!("{shown} is no http:// or https:// URL")),
        }
    }

    /// Whether the connection is one of TLS.
    pub fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The name or address of the server, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// What the `Host` header says: without the user.
    pub fn authority(&self) -> &str {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// User and password, as `user:password`, decoded.
    pub fn user_info(&self) -> Option<Secret> {
        let authority = self.uri.authority()?.as_str();
        authority.rsplit_once('@').map(|(user_info, _)| Secret::from(crate::redact::decoded(user_info)))
    }

    /// The path with the query.
    pub fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// As it may be shown.
    pub fn shown(&self) -> String {
        match (self.secret, self.user_info()) {
            (true, _) => format!("{}://<secret>", self.uri.scheme_str().unwrap_or("http")),
            (false, None) => self.uri.to_string(),
            (false, Some(_)) => {
                format!("{}://{}{}", self.uri.scheme_str().unwrap_or("http"), self.authority(), self.path())
            }
        }
    }

    /// What of it must not be shown, where it holds a secret.
    pub fn secrets(&self) -> Vec<Secret> {
        let path = self.uri.path();
        let all =
            [self.uri.to_string(), self.path().to_owned(), path.to_owned(), path.trim_start_matches('/').to_owned()];
        if self.secret { all.into_iter().map(Secret::from).collect() } else { Vec::new() }
    }

    /// Whether it may hold a secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether another address is that of the same server, asked in the same way.
    pub fn is_same_server(&self, other: &Address) -> bool {
        (self.is_tls(), self.host(), self.port()) == (other.is_tls(), other.host(), other.port())
    }

    /// Where a `Location` leads from here (RFC 3986, 5.2; without `..`, which the server resolves).
    pub fn join(&self, location: &str) -> Result<Address, String> {
        let location = location.split('#').next().unwrap_or(location);
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let path = self.uri.path();
        // The user stays with the server.
        let server = format!("{scheme}://{}", self.uri.authority().map_or("", |authority| authority.as_str()));
        let has_scheme = location.find("://").is_some_and(|at| !location[..at].contains(['/', '?']));
        let url = if has_scheme {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{server}{location}")
        } else if location.starts_with('?') {
            format!("{server}{path}{location}")
        } else {
            let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
            format!("{server}{folder}{location}")
        };
        Address::parse(&url, self.secret)
    }
}

/// It may hold a secret.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let address = Address::parse("https://u%40x:p%3Aw@[::1]:8443/a/b?c=d", false).unwrap();
        assert_eq!((address.host(), address.port(), address.authority()), ("::1", 8443, "[::1]:8443"));
        assert_eq!((address.path(), address.is_tls()), ("/a/b?c=d", true));
        assert_eq!(address.user_info().unwrap().expose(), "u@x:p:w");
        assert_eq!(address.shown(), "https://[::1]:8443/a/b?c=d");
        let plain = Address::parse("http://host", false).unwrap();
        assert_eq!((plain.port(), plain.path(), plain.authority()), (80, "/", "host"));
        for wrong in ["ftp://x/", "x", "/x", "http:///x", "https://a b/", ""] {
            assert!(Address::parse(wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_leads_where_it_says() {
        let from = Address::parse("https://h:1/a/b?c", false).unwrap();
        for (location, to) in [
            ("http://other/x", "http://other/x"),
            ("//other/x", "https://other/x"),
            ("/x?y#z", "https://h:1/x?y"),
            ("x", "https://h:1/a/x"),
            ("?d=e", "https://h:1/a/b?d=e"),
            ("/login?next=https://a/b", "https://h:1/login?next=https://a/b"),
        ] {
            assert_eq!(from.join(location).unwrap().shown(), to, "{location}");
        }
    }

    #[test]
    fn a_secret_url_is_never_shown() {
        let address = Address::parse("https://hooks.example/services/canary", true).unwrap();
        let shown = format!("{address:?} {} {:?}", address.shown(), Address::parse("https://can ary/", true));
        assert!(!shown.contains("canary") && !shown.contains("can ary"), "{shown}");
        assert!(address.secrets().iter().any(|secret| secret.expose() == "services/canary"));
    }
}
