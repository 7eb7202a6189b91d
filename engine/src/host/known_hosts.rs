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
        let folder = self.own.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let beside = self.own.with_extension("new");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(new.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.own)?;
        std::fs::File::open(folder)?.sync_all()
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
