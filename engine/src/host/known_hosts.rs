//! Which host key belongs to which machine: our own file, and others that are only read, in OpenSSH's format
//! (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
//!
//! The check is ours because a library's that skips `@revoked` accepts a withdrawn key as new, and one that treats
//! another algorithm's key as unknown lets somebody in between offer one. Hence: a revoked key is refused whatever else
//! is said; a host that is known by any key must show a known one. Certificates are not accepted, so
//! `@cert-authority` lines vouch for nothing here.
//!
//! A line that we wrote names slot and generation in its comment. When a machine was replaced (D7), what was recorded
//! for an earlier generation of the same slot no longer counts, and the next recording replaces it.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ring::hmac;
use russh::keys::{Algorithm, HashAlg, PublicKey};

/// The files that say which host key is whose.
#[derive(Debug)]
pub struct KnownHosts {
    own: PathBuf,
    also: Vec<PathBuf>,
    /// One writer at a time in this process; the data folder has one process (D1).
    writing: Mutex<()>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) slot: &'a str,
    pub(super) generation: u32,
    pub(super) address: &'a str,
    pub(super) port: u16,
}

/// What the files say about a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this host's.
    Known,
    /// Nothing is known about this host.
    Unknown,
    /// The host is known by another key: where that stands, and its fingerprint.
    Changed(String),
    /// The key is marked as withdrawn: where.
    Revoked(String),
}

impl KnownHosts {
    /// `own` is created (mode 0600) when a first key is recorded; `also` are only read, and may be missing.
    pub fn new(own: PathBuf, also: Vec<PathBuf>) -> Self {
        Self { own, also, writing: Mutex::new(()) }
    }

    /// Judges a key. An unreadable file is an error, for it is not the same as an empty one.
    pub(super) fn judge(&self, asker: Asker<'_>, key: &PublicKey) -> io::Result<Verdict> {
        let mut verdict = Verdict::Unknown;
        for (path, text) in self.read()? {
            for (number, line) in Line::all(&text) {
                if !line.is_about(asker) {
                    continue;
                }
                let same = line.key.key_data() == key.key_data();
                let at = || format!("{}:{number}", path.display());
                match line.marker {
                    Some("@revoked") if same => return Ok(Verdict::Revoked(at())),
                    Some(_) => {}
                    None if same => verdict = Verdict::Known,
                    None if line.is_superseded(asker) => {}
                    None if verdict == Verdict::Unknown => {
                        verdict = Verdict::Changed(format!("{} ({})", fingerprint(&line.key), at()));
                    }
                    None => {}
                }
            }
        }
        Ok(verdict)
    }

    /// Algorithms of the keys that are known for a host: they are asked for first, as OpenSSH does, so that a host known
    /// by one key does not show another.
    pub(super) fn algorithms(&self, asker: Asker<'_>) -> io::Result<Vec<Algorithm>> {
        let mut algorithms = Vec::new();
        for (_, text) in self.read()? {
            for (_, line) in Line::all(&text) {
                if line.marker.is_none() && line.is_about(asker) && !line.is_superseded(asker) {
                    algorithms.push(line.key.algorithm());
                }
            }
        }
        Ok(algorithms)
    }

    /// Records a key, durably, in place of what an earlier generation of the slot left.
    pub(super) fn record(&self, asker: Asker<'_>, key: &PublicKey) -> io::Result<()> {
        let name = host_name(asker.address, asker.port);
        let line = key.to_openssh().map_err(io::Error::other)?;
        // An OpenSSH public key is `algorithm base64 comment`; the comment is ours to choose.
        let words: Vec<&str> = line.split(' ').take(2).collect();
        let Asker { slot, generation, .. } = asker;
        let slot: String = slot.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
        let line = format!("{name} {} anneal slot={slot} generation={generation}\n", words.join(" "));
        self.rewrite(|old| !old.is_about(asker) || !old.is_superseded(asker), &line)
    }

    /// Forgets what we recorded for an address: its machine is gone. Lines of other files stay.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget(&self, address: &str, port: u16) -> io::Result<()> {
        let asker = Asker { slot: "", generation: 0, address, port };
        self.rewrite(|old| !(old.is_about(asker) && old.recorded.is_some()), "")
    }

    /// Writes our own file anew beside itself, synced, and renames it.
    fn rewrite(&self, keep: impl Fn(&Line<'_>) -> bool, append: &str) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.own.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(path)?;
        // Another process may record a key at the same time: a preview needs no store.
        let folder = std::fs::File::open(path)?;
        if let Err(error) = folder.lock() {
            tracing::warn!(path = %path.display(), %error, "the folder cannot be locked while a host key is recorded");
        }
        let old = read_if_there(&self.own)?;
        let mut new = String::with_capacity(old.len() + append.len());
        for text in old.lines() {
            if Line::parse(text).is_none_or(|line| keep(&line)) {
                new.push_str(text);
                new.push('\n');
            }
        }
        new.push_str(append);
        if new == old {
            return Ok(());
        }
        let beside = self.own.with_extension("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(new.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.own)?;
        folder.sync_all()
    }

    fn read(&self) -> io::Result<Vec<(&Path, String)>> {
        std::iter::once(&self.own).chain(&self.also).map(|path| Ok((path.as_path(), read_if_there(path)?))).collect()
    }
}

/// A key's SHA-256 fingerprint, as `ssh-keygen -l` writes it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn read_if_there(path: &Path) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// A host as these files name it: `[host]:port` where the port is not 22.
fn host_name(address: &str, port: u16) -> String {
    if port == 22 { address.to_lowercase() } else { format!("[{}]:{port}", address.to_lowercase()) }
}

/// One line: marker, host patterns, key, and what we recorded in its comment.
struct Line<'a> {
    marker: Option<&'a str>,
    patterns: &'a str,
    key: PublicKey,
    recorded: Option<(&'a str, u32)>,
}

impl<'a> Line<'a> {
    /// The lines that can be understood, with their numbers.
    fn all(text: &'a str) -> impl Iterator<Item = (usize, Self)> {
        text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, Self::parse(line)?)))
    }

    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        let patterns = words.next().filter(|word| !word.starts_with('#'))?;
        let (algorithm, base64) = (words.next()?, words.next()?);
        let key = PublicKey::from_openssh(&format!("{algorithm} {base64}")).ok()?;
        let recorded = match (words.next(), words.next(), words.next()) {
            (Some("anneal"), Some(slot), Some(generation)) => slot
                .strip_prefix("slot=")
                .zip(generation.strip_prefix("generation=").and_then(|generation| generation.parse().ok())),
            _ => None,
        };
        Some(Self { marker, patterns, key, recorded })
    }

    fn is_about(&self, asker: Asker<'_>) -> bool {
        let name = host_name(asker.address, asker.port);
        if let Some(hashed) = self.patterns.strip_prefix("|1|") {
            return matches_hash(hashed, &name);
        }
        let mut matched = false;
        for pattern in self.patterns.split(',') {
            match pattern.strip_prefix('!') {
                // One refusal outweighs every match, wherever it stands.
                Some(not) if matches(&not.to_lowercase(), &name) => return false,
                Some(_) => {}
                None => matched |= matches(&pattern.to_lowercase(), &name),
            }
        }
        matched
    }

    /// Recorded by us for an earlier machine of the same slot.
    fn is_superseded(&self, asker: Asker<'_>) -> bool {
        self.recorded.is_some_and(|(slot, generation)| slot == asker.slot && generation < asker.generation)
    }
}

/// `|1|salt|hash`: HMAC-SHA1 of the name with the salt as key (that is the format; nothing rests on SHA-1 here).
fn matches_hash(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Some(salt), Some(hash)) = (base64(salt), base64(hash)) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt), name.as_bytes(), &hash).is_ok()
}

/// `*` is any text, `?` any character.
fn matches(pattern: &str, name: &str) -> bool {
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

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0u8);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
    // Made by `ssh-keygen -H` out of `h.example A` and `[h.example]:2222 B`.
    const HASHED: &str = include_str!("known_hosts_hashed.txt");

    fn verdict(own: &str, also: &str, address: &str, port: u16) -> String {
        let folder =
            std::env::temp_dir().join(format!("anneal-known-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (first, second) = (folder.join("own"), folder.join("also"));
        let keyed = |text: &str| text.replace("KEY_A", A).replace("KEY_B", B);
        std::fs::write(&first, keyed(own)).unwrap();
        std::fs::write(&second, keyed(also)).unwrap();
        let asker = Asker { slot: "web", generation: 2, address, port };
        let known = KnownHosts::new(first, vec![second, folder.join("missing")]);
        let verdict = known.judge(asker, &PublicKey::from_openssh(A).unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        match verdict {
            Verdict::Known => "known".into(),
            Verdict::Unknown => "unknown".into(),
            Verdict::Changed(at) => format!("changed {}", at.rsplit_once('/').unwrap().1.trim_end_matches(')')),
            Verdict::Revoked(at) => format!("revoked {}", at.rsplit_once('/').unwrap().1),
        }
    }

    #[test]
    fn lines_are_read_as_openssh_reads_them() {
        let cases = [
            ("", "h.example", 22, "unknown"),
            ("h.example KEY_A", "h.example", 22, "known"),
            ("H.Example KEY_A", "h.eXample", 22, "known"),
            ("h.example KEY_A a comment", "h.example", 22, "known"),
            ("  h.example\tKEY_A", "h.example", 22, "known"),
            ("h.example KEY_B", "h.example", 22, "changed own:1"),
            ("# h.example KEY_B\n\nh.example KEY_B", "h.example", 22, "changed own:3"),
            ("h.example KEY_B\nh.example KEY_A", "h.example", 22, "known"),
            ("other KEY_B", "h.example", 22, "unknown"),
            ("h.example,10.0.0.1 KEY_A", "10.0.0.1", 22, "known"),
            // A port that is not 22 is part of the name.
            ("h.example KEY_A", "h.example", 2222, "unknown"),
            ("[h.example]:2222 KEY_A", "h.example", 2222, "known"),
            ("[h.example]:2222 KEY_B", "h.example", 22, "unknown"),
            ("[::1]:2222 KEY_A", "::1", 2222, "known"),
            // Patterns.
            ("*.example KEY_A", "h.example", 22, "known"),
            ("h?example KEY_A", "h.example", 22, "known"),
            ("*ex*le KEY_A", "h.example", 22, "known"),
            ("*.example,!h.example KEY_B", "h.example", 22, "unknown"),
            ("!h.example,*.example KEY_B", "h.example", 22, "unknown"),
            ("!h.example KEY_A", "other", 22, "unknown"),
            ("* KEY_B", "h.example", 22, "changed own:1"),
            // Markers.
            ("h.example KEY_A\n@revoked * KEY_A", "h.example", 22, "revoked own:2"),
            ("@revoked h.example KEY_A\nh.example KEY_A", "h.example", 22, "revoked own:1"),
            ("@revoked other KEY_A\nh.example KEY_A", "h.example", 22, "known"),
            ("@revoked * KEY_B", "h.example", 22, "unknown"),
            ("@cert-authority * KEY_A", "h.example", 22, "unknown"),
            ("@cert-authority * KEY_B\nh.example KEY_A", "h.example", 22, "known"),
            // What is not understood is passed over.
            ("h.example", "h.example", 22, "unknown"),
            ("h.example ssh-ed25519 garbage\nh.example KEY_A", "h.example", 22, "known"),
            ("h.example ssh-unknown AAAA", "h.example", 22, "unknown"),
            // Generations: what we recorded for an earlier machine of this slot is history.
            ("h.example KEY_B anneal slot=web generation=1", "h.example", 22, "unknown"),
            ("h.example KEY_B anneal slot=web generation=2", "h.example", 22, "changed own:1"),
            ("h.example KEY_B anneal slot=db generation=1", "h.example", 22, "changed own:1"),
            ("@revoked * KEY_A anneal slot=web generation=1", "h.example", 22, "revoked own:1"),
        ];
        for (text, address, port, expected) in cases {
            assert_eq!(verdict(text, "", address, port), expected, "{text}");
        }
    }

    #[test]
    fn all_files_count() {
        assert_eq!(verdict("", "h.example KEY_A", "h.example", 22), "known");
        assert_eq!(verdict("h.example KEY_B", "h.example KEY_A", "h.example", 22), "known");
        assert_eq!(verdict("h.example KEY_A", "@revoked h.example KEY_A", "h.example", 22), "revoked also:1");
        assert_eq!(verdict("", "h.example KEY_B", "h.example", 22), "changed also:1");
    }

    #[test]
    fn hashed_names_match() {
        assert_eq!(verdict(HASHED, "", "h.example", 22), "known");
        assert_eq!(verdict(HASHED, "", "h.example", 2222), "changed own:2");
        assert_eq!(verdict(HASHED, "", "other", 22), "unknown");
        assert_eq!(verdict("|1|no base64|x KEY_A\n|1| KEY_A", "", "h.example", 22), "unknown");
    }
}
