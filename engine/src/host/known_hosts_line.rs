//! One line of a file of known hosts, and whether it is about a host (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use data_encoding::BASE64;
use ring::hmac;
use russh::keys::PublicKey;

use super::SshServer;

/// Under which names a host stands in these files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// As it is recorded: `host`, `[host]:port` where the port is not 22, or the name that was given for it.
    pub(super) name: String,
    /// The host without its port, where the name has one: lines that vouch or revoke, and keys that are the same, count for it
    /// too, as ssh(1) does it.
    bare: Option<String>,
}

/// How a line is about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// By its name.
    Name,
    /// Only by the name without the port.
    Bare,
}

/// What stands before the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// `@revoked`: the key is withdrawn.
    Revoked,
    /// `@cert-authority`: the key signs host certificates.
    Authority,
}

/// One line.
pub(super) struct Line<'a> {
    pub(super) marker: Option<Marker>,
    patterns: &'a str,
    algorithm: &'a str,
    base64: &'a str,
    /// The slot and the generation that we recorded it for.
    recorded: Option<(&'a str, u32)>,
}

impl Names {
    pub(super) fn of(server: &SshServer) -> Self {
        match (&server.known_as, server.port) {
            (Some(name), _) => Self { name: name.to_lowercase(), bare: None },
            (None, 22) => Self { name: server.address.to_lowercase(), bare: None },
            (None, port) => {
                let bare = server.address.to_lowercase();
                Self { name: format!("[{bare}]:{port}"), bare: Some(bare) }
            }
        }
    }

    /// What a host certificate must name: never a port.
    pub(super) fn principal(&self) -> &str {
        self.bare.as_ref().unwrap_or(&self.name)
    }

    /// Whether it can be written into a line as it is.
    pub(super) fn can_be_written(&self) -> bool {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | '*' | '?' | '!');
        !self.name.is_empty() && self.name.chars().all(plain) && !self.name.starts_with(['|', '@', '#'])
    }
}

impl<'a> Line<'a> {
    /// The lines about a host that can be understood, with their numbers.
    pub(super) fn about(text: &'a str, names: &Names) -> impl Iterator<Item = (usize, About, Self)> {
        text.lines().enumerate().filter_map(|(at, line)| {
            let line = Self::parse(line)?;
            Some((at + 1, line.is_about(names)?, line))
        })
    }

    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace().peekable();
        let marker = match words.next_if(|word| word.starts_with('@')) {
            None => None,
            Some("@revoked") => Some(Marker::Revoked),
            Some("@cert-authority") => Some(Marker::Authority),
            Some(_) => return None,
        };
        let patterns = words.next().filter(|word| !word.starts_with('#'))?;
        let (algorithm, base64) = (words.next()?, words.next()?);
        let recorded = match (words.next(), words.next(), words.next()) {
            (Some("anneal"), Some(slot), Some(generation)) => slot
                .strip_prefix("slot=")
                .zip(generation.strip_prefix("generation=").and_then(|generation| generation.parse().ok())),
            _ => None,
        };
        Some(Self { marker, patterns, algorithm, base64, recorded })
    }

    /// Its key, where it is one.
    pub(super) fn key(&self) -> Option<PublicKey> {
        PublicKey::from_openssh(&format!("{} {}", self.algorithm, self.base64)).ok()
    }

    pub(super) fn is_about(&self, names: &Names) -> Option<About> {
        if self.names(&names.name) {
            Some(About::Name)
        } else {
            names.bare.as_ref().is_some_and(|bare| self.names(bare)).then_some(About::Bare)
        }
    }

    fn names(&self, name: &str) -> bool {
        if let Some(hashed) = self.patterns.strip_prefix("|1|") {
            return matches_hash(hashed, name);
        }
        let mut matched = false;
        for pattern in self.patterns.split(',') {
            match pattern.strip_prefix('!') {
                // One refusal outweighs every match, wherever it stands.
                Some(not) if matches(&not.to_lowercase(), name) => return false,
                Some(_) => {}
                None => matched |= matches(&pattern.to_lowercase(), name),
            }
        }
        matched
    }

    /// Recorded by us for an earlier machine of the same slot.
    pub(super) fn is_superseded(&self, (slot, generation): (&str, u32)) -> bool {
        self.recorded.is_some_and(|(of, old)| of == slot && old < generation)
    }

    /// The patterns that are left when the host's name is taken out: all of them where it does not stand there as it is, none
    /// where nobody else is named.
    pub(super) fn without(&self, names: &Names) -> String {
        if self.patterns.starts_with('|') {
            return if self.names(&names.name) { String::new() } else { self.patterns.to_owned() };
        }
        let left: Vec<&str> = self.patterns.split(',').filter(|one| !one.eq_ignore_ascii_case(&names.name)).collect();
        if left.iter().all(|one| one.starts_with('!')) { String::new() } else { left.join(",") }
    }

    pub(super) fn patterns(&self) -> &'a str {
        self.patterns
    }
}

/// `|1|salt|hash`: HMAC-SHA1 of the name with the salt as key (that is the format; nothing rests on SHA-1 here).
fn matches_hash(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Ok(salt), Ok(hash)) = (BASE64.decode(salt.as_bytes()), BASE64.decode(hash.as_bytes())) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt), name.as_bytes(), &hash).is_ok()
}

/// Whether a pattern of OpenSSH's files matches: `*` is any text, `?` any byte (ssh_config(5), "PATTERNS").
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(address: &str, port: u16, known_as: Option<&str>) -> Names {
        Names::of(&SshServer { known_as: known_as.map(Into::into), ..super::super::known_hosts::server(address, port) })
    }

    #[test]
    fn a_name_that_was_given_replaces_address_and_port() {
        let all = |names: &Names| format!("{} {}", names.name, names.principal());
        assert_eq!(all(&names("H.example", 22, None)), "h.example h.example");
        assert_eq!(all(&names("H.example", 2222, None)), "[h.example]:2222 h.example");
        assert_eq!(all(&names("::1", 2222, None)), "[::1]:2222 ::1");
        assert_eq!(all(&names("10.0.0.5", 2222, Some("Reg1"))), "reg1 reg1");
    }

    #[test]
    fn a_name_is_taken_out_of_a_line_and_others_stay() {
        let without = |line: &str| {
            let line = format!("{line} ssh-ed25519 AAAA");
            Line::parse(&line).unwrap().without(&names("h", 2222, None))
        };
        assert_eq!(without("[h]:2222"), "");
        assert_eq!(without("[H]:2222,other"), "other");
        assert_eq!(without("[h]:2222,!other"), "");
        assert_eq!(without("h,*"), "h,*");
    }

    #[test]
    fn a_name_that_would_mean_something_else_in_the_file_is_not_written() {
        for bad in ["", "a b", "a,b", "*", "!a", "|1|x", "@revoked", "#a", "a\nb", "a?"] {
            assert!(!names("h", 22, Some(bad)).can_be_written(), "{bad:?}");
        }
        assert!(names("fe80::1%eth0", 2222, None).can_be_written());
    }
}
