//! References to images, after the grammar of the OCI distribution implementation (`distribution/reference`, `reference.go`):
//! `[domain[:port]/]path[:tag][@algorithm:hex]`.

/// Bytes of a path, and of a tag.
const PATH_BYTES: usize = 255;
const TAG_BYTES: usize = 128;
/// Hex digits of a digest of an algorithm that has no length of its own here.
const DIGEST_LEAST: usize = 32;

/// Whether a text is a reference to an image; an error says what is expected.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("behind `@` a digest such as `sha256:` and 64 small hex digits is expected".to_owned());
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        let tag = format!("at most {TAG_BYTES} letters, digits, `_`, `.` and `-`, beginning with none of the last two");
        return Err(format!("behind `:` a tag is expected: {tag}"));
    }
    if !is_name(name) {
        return Err("an image such as `registry:2`, `host:5000/team/app:1.0` or `app@sha256:…` is expected".to_owned());
    }
    if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("64 hex digits are the id of an image, not its name".to_owned());
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let path = |path: &str| path.len() <= PATH_BYTES && path.split('/').all(is_path_component);
    // The first component is a domain, or one of the path.
    path(name) || name.split_once('/').is_some_and(|(domain, rest)| is_domain(domain) && path(rest))
}

/// `alpha-numeric [separator alpha-numeric]*` with the separators `.`, `_`, `__` and any number of `-`.
fn is_path_component(component: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = component.split(is_inner).filter(|separator| !separator.is_empty());
    component.starts_with(is_inner)
        && component.ends_with(is_inner)
        && separators.all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => return is_ipv6(address),
        Some((address, port)) => return is_ipv6(address) && port.strip_prefix(':').is_some_and(is_number),
        None => domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port))),
    };
    let is_component = |component: &str| {
        component.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && component.starts_with(|c: char| c.is_ascii_alphanumeric())
            && component.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    host.split('.').all(is_component) && port.is_none_or(is_number)
}

fn is_ipv6(address: &str) -> bool {
    !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_BYTES
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let is_component = |component: &str| {
        component.starts_with(|c: char| c.is_ascii_alphabetic()) && component.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let small = hex.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    // The registered algorithms (image-spec, descriptor.md) have one form only.
    let length = match algorithm {
        "sha256" => small && hex.len() == 64,
        "sha384" => small && hex.len() == 96,
        "sha512" => small && hex.len() == 128,
        _ => hex.len() >= DIGEST_LEAST && hex.bytes().all(|b| b.is_ascii_hexdigit()),
    };
    algorithm.split(['+', '.', '-', '_']).all(is_component) && length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_what_is_none() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for good in [
            "registry",
            "registry:2",
            "library/registry:2.8.3-alpine_x",
            "localhost:5000",
            "host:5000/a/b_c/d__e/f--g:Tag.1-x",
            "Host-1.example:5000/app",
            "[2001:db8::1]:5000/app:1",
            "192.0.2.1/app",
            &format!("app@{digest}"),
            &format!("h/app:1@{digest}"),
            &format!("app@sha512:{}", "0".repeat(128)),
            &format!("app@multihash+base58.x:{}", "A".repeat(32)),
            &format!("{}:t", "a".repeat(255)),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for wrong in [
            "",
            "App",
            "a/B",
            "UPPER/app/",
            "/app",
            "app:",
            "app:-1",
            "app:a b",
            "a//b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "http://host/app",
            "host:port/app",
            "[::1/app",
            "app@",
            "app@sha256:abc",
            &format!("app@sha256:{}", "AB".repeat(32)),
            &format!("app@{digest}x"),
            &"a".repeat(256),
            &"ab".repeat(32),
            &format!("app:{}", "t".repeat(129)),
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
