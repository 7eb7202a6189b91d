//! `ProxyJump`: servers to go through, one after the other.

/// A server to go through, as it is written; each is looked up in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// Login user.
    pub user: Option<String>,
    /// Host name or address, or what the configuration calls it.
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
}

/// Servers separated by commas, each `[user@]host[:port]` or `ssh://[user@]host[:port]`; none for `none`. The error says what is wrong.
pub fn parse(text: &str) -> Result<Vec<Jump>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    text.split(',').map(|one| jump(one).map_err(|why| format!("`{}`: {why}", without_user(one)))).collect()
}

/// What of a server may be repeated in an error: a password that was written before the `@` may not.
pub fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

fn jump(text: &str) -> Result<Jump, String> {
    let text = match text.strip_prefix("ssh://") {
        Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
        None => text,
    };
    server(text)
}

/// One server, `[user@]host[:port]`. The error says what is wrong, without the user.
pub fn server(text: &str) -> Result<Jump, String> {
    let (user, rest) = match text.rsplit_once('@') {
        Some(("", _)) => return Err("a user is missing before `@`".to_owned()),
        Some((user, _)) if user.contains(':') => return Err("a password may not stand before `@`".to_owned()),
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or("a `]` is missing")?;
            match (behind.strip_prefix(':'), behind) {
                (Some(port), _) => (host, Some(port)),
                (None, "") => (host, None),
                (None, _) => return Err(format!("`{behind}` is not `:PORT`")),
            }
        }
        None => match rest.split_once(':') {
            // An IPv6 address without a port.
            Some((_, port)) if port.contains(':') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if host.is_empty() {
        return Err("a host is missing".to_owned());
    }
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{text}` is no TCP port")),
    };
    Ok(Jump { user, host: host.to_owned(), port: port.map(number).transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart() {
        let of = |text: &str| {
            let one = |jump: Jump| {
                format!("{}@{}:{}", jump.user.unwrap_or_default(), jump.host, jump.port.unwrap_or_default())
            };
            parse(text).map(|all| all.into_iter().map(one).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(of("a"), Ok("@a:0".into()));
        assert_eq!(of("u@a:2,[::1]:3,::1"), Ok("u@a:2 @::1:3 @::1:0".into()));
        assert_eq!(of("ssh://u@a:2/"), Ok("u@a:2".into()));
        assert_eq!(of("a@b@c"), Ok("a@b@c:0".into()), "the user's name may have an @");
        assert_eq!(of("NONE"), Ok(String::new()));
        for wrong in ["", "a,", "@a", "u@", "a:0", "a:x", "[::1", "[::1]x", ":22"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(of("u:secret@a"), Err("`a`: a password may not stand before `@`".into()));
    }
}
