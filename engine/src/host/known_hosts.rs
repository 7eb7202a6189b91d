//! Which host key belongs to which machine: our own file, and others that are only read, in OpenSSH's format
//! (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
//!
//! The check is ours because a library's that skips `@revoked` accepts a withdrawn key as new, and one that treats
//! another algorithm's key as unknown lets somebody in between offer one. Hence: a revoked key is refused whatever else
//! is said, also where it only signed a certificate; a host that is known by any key must show a known one, or a
//! certificate that a `@cert-authority` of its name signed. A certificate that does not hold is one that nobody showed:
//! its key may be known by itself, but is never accepted as new.
//!
//! A line that we wrote names slot and generation in its comment. When a machine was replaced (D7), what was recorded
//! for an earlier generation of the same slot no longer counts, and the next recording replaces it.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::known_hosts_line::{About, Line, Marker, Names};
use super::{SshServer, host_certificate, limits};

/// The files that say which host key is whose.
#[derive(Debug)]
pub struct KnownHosts {
    own: PathBuf,
    user: Vec<PathBuf>,
    system: Vec<PathBuf>,
    /// One writer at a time in this process; the data folder has one process (D1).
    writing: Mutex<()>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    /// The slot and its generation; a jump host has none.
    pub(super) slot: Option<(&'a str, u32)>,
    pub(super) server: &'a SshServer,
}

/// What a server shows.
pub(super) struct Shown {
    pub(super) key: PublicKey,
    pub(super) certificate: Option<Certificate>,
}

/// What the files say about what a server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStanding {
    /// Its key is this host's: where that stands, `file:line`.
    Known(String),
    /// Its certificate is signed by an authority for this host: where that stands.
    Vouched(String),
    /// Nothing is known about this host.
    Unknown,
    /// The host is known by another key: its fingerprint, and where that stands.
    Changed(String),
    /// The key, or the one that signed its certificate, is marked as withdrawn: where.
    Revoked(String),
    /// There is an authority for this host, and the certificate that it shows does not hold: why, in words that follow "it".
    BadCertificate(String),
}

/// What is to be asked for first.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Algorithms of the keys that are known for a host: a host known by one key must not show another, as OpenSSH does it.
    pub(super) algorithms: Vec<Algorithm>,
    /// Whether an authority is known for it.
    pub(super) certificates: bool,
}

/// What the lines about a host come to, for what it shows.
#[derive(Default)]
struct Found {
    revoked: Option<String>,
    known: Option<String>,
    /// Another key: its algorithm, its fingerprint and where.
    others: Vec<(Algorithm, String)>,
    /// The line of the authority that signed its certificate.
    authority: Option<String>,
    /// Whether there is any authority.
    has_authority: bool,
}

impl From<&PublicKeyOrCertificate> for Shown {
    fn from(shown: &PublicKeyOrCertificate) -> Self {
        Self { key: shown.public_key(), certificate: shown.certificate().cloned() }
    }
}

impl Shown {
    /// Whether what it shows is worth nothing without this key.
    fn rests_on(&self, key: &PublicKey) -> bool {
        self.key.key_data() == key.key_data() || self.is_signed_by(key)
    }

    fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.signature_key() == key.key_data())
    }
}

impl KnownHosts {
    /// `own` is created (mode 0600) when a first key is recorded; `user` are only read, may be missing, and do not count for hosts
    /// that name files of their own.
    pub fn new(own: PathBuf, user: Vec<PathBuf>) -> Self {
        Self { own, user, system: Vec::new(), writing: Mutex::new(()) }
    }

    /// With files that are read for every host (`GlobalKnownHostsFile` of ssh_config(5)).
    #[must_use]
    pub fn with_system(self, system: Vec<PathBuf>) -> Self {
        Self { system, ..self }
    }

    /// Judges what a server shows. An unreadable file is an error, for it is not the same as an empty one.
    pub(super) fn judge(&self, asker: Asker<'_>, shown: &Shown, now_s: u64) -> io::Result<KeyStanding> {
        let found = self.find(asker, shown)?;
        Ok(found.verdict(asker, shown, now_s, |_| true))
    }

    /// The same for one of all the keys that a server has: only a known key of the same algorithm is one that it changed.
    pub(super) fn standing(&self, asker: Asker<'_>, shown: &Shown, now_s: u64) -> io::Result<KeyStanding> {
        let found = self.find(asker, shown)?;
        Ok(found.verdict(asker, shown, now_s, |other| is_same(other, &shown.key.algorithm())))
    }

    /// What to ask a server for.
    pub(super) fn expected(&self, asker: Asker<'_>) -> io::Result<Expected> {
        let names = Names::of(asker.server);
        let mut expected = Expected::default();
        for (_, text) in self.read(asker.server)? {
            for (_, about, line) in Line::about(&text, &names) {
                match line.marker {
                    Some(Marker::Revoked) => {}
                    Some(Marker::Authority) => expected.certificates = true,
                    None if about == About::Bare || is_superseded(&line, asker) => {}
                    None => expected.algorithms.extend(line.key().map(|key| key.algorithm())),
                }
            }
        }
        Ok(expected)
    }

    fn find(&self, asker: Asker<'_>, shown: &Shown) -> io::Result<Found> {
        let names = Names::of(asker.server);
        let mut found = Found::default();
        for (path, text) in self.read(asker.server)? {
            for (number, about, line) in Line::about(&text, &names) {
                let Some(key) = line.key() else { continue };
                let at = || format!("{}:{number}", path.display());
                match line.marker {
                    Some(Marker::Revoked) if shown.rests_on(&key) => _ = found.revoked.get_or_insert_with(at),
                    Some(Marker::Revoked) => {}
                    Some(Marker::Authority) => {
                        found.has_authority = true;
                        if shown.is_signed_by(&key) {
                            found.authority.get_or_insert_with(at);
                        }
                    }
                    None if key.key_data() == shown.key.key_data() => _ = found.known.get_or_insert_with(at),
                    None if about == About::Bare || is_superseded(&line, asker) => {}
                    None => found.others.push((key.algorithm(), format!("{} ({})", fingerprint(&key), at()))),
                }
            }
        }
        Ok(found)
    }

    /// Records a key, durably, in place of what an earlier generation of the slot left.
    pub(super) fn record(&self, asker: Asker<'_>, key: &PublicKey) -> io::Result<()> {
        let names = Names::of(asker.server);
        let line = recorded_line(asker, &names, key)?;
        self.rewrite(&line, |old| {
            let stays = old.is_about(&names).is_none() || !is_superseded(old, asker);
            stays.then(|| old.patterns().to_owned())
        })
    }

    /// Records keys that a person has compared. Where `replace` says so, our own file knows no other key of this name afterwards,
    /// but for what a pattern for several hosts says.
    pub(super) fn trust(&self, asker: Asker<'_>, keys: &[PublicKey], replace: bool) -> io::Result<()> {
        let names = Names::of(asker.server);
        let mut lines = String::new();
        for key in keys {
            lines += &recorded_line(asker, &names, key)?;
        }
        self.rewrite(&lines, |old| {
            let again = || old.key().is_some_and(|key| keys.iter().any(|new| new.key_data() == key.key_data()));
            let goes = old.marker.is_none() && (replace || is_superseded(old, asker) || again());
            let left = if goes { old.without(&names) } else { old.patterns().to_owned() };
            (!left.is_empty()).then_some(left)
        })
    }

    /// Forgets what our own file says of a server by its name: its machine is gone, or has new keys. Lines of other files stay, and
    /// so do patterns and lines with a marker.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget(&self, server: &SshServer) -> io::Result<()> {
        let names = Names::of(server);
        self.rewrite("", |old| {
            let left = if old.marker.is_none() { old.without(&names) } else { old.patterns().to_owned() };
            (!left.is_empty()).then_some(left)
        })
    }

    /// Writes our own file anew beside itself, synced, and renames it. `keep` says whom a line still names.
    fn rewrite(&self, append: &str, keep: impl Fn(&Line<'_>) -> Option<String>) -> io::Result<()> {
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
            match Line::parse(text).map(|line| (keep(&line), line.patterns())) {
                Some((None, _)) => continue,
                Some((Some(left), patterns)) if left != patterns => new.push_str(&text.replacen(patterns, &left, 1)),
                Some((Some(_), _)) | None => new.push_str(text),
            }
            new.push('\n');
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

    fn read<'a>(&'a self, server: &'a SshServer) -> io::Result<Vec<(&'a Path, String)>> {
        let user = if server.known_hosts.is_empty() { &self.user } else { &server.known_hosts };
        let paths = std::iter::once(&self.own).chain(user).chain(&self.system);
        paths.map(|path| Ok((path.as_path(), read_if_there(path)?))).collect()
    }
}

impl Found {
    fn verdict(
        self,
        asker: Asker<'_>,
        shown: &Shown,
        now_s: u64,
        is_other: impl Fn(&Algorithm) -> bool,
    ) -> KeyStanding {
        let name = Names::of(asker.server);
        let certificate = shown.certificate.as_ref().filter(|_| self.has_authority).map(|certificate| {
            let authority = self.authority.ok_or_else(|| {
                let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
                format!("is signed by {signer}, which is no authority for this host")
            })?;
            host_certificate::check(certificate, name.principal(), now_s).map(|()| authority)
        });
        let other = self.others.into_iter().find(|(algorithm, _)| is_other(algorithm));
        match (self.revoked, certificate, self.known, other) {
            (Some(by), ..) => KeyStanding::Revoked(by),
            (None, Some(Ok(at)), ..) => KeyStanding::Vouched(at),
            (None, _, Some(at), _) => KeyStanding::Known(at),
            (None, Some(Err(why)), None, _) => KeyStanding::BadCertificate(why),
            (None, None, None, Some((_, known))) => KeyStanding::Changed(known),
            (None, None, None, None) => KeyStanding::Unknown,
        }
    }
}

/// Whether two algorithms are for the same keys: an RSA key is one key under every hash.
pub(super) fn is_same(a: &Algorithm, b: &Algorithm) -> bool {
    match (a, b) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (a, b) => a == b,
    }
}

fn is_superseded(line: &Line<'_>, asker: Asker<'_>) -> bool {
    asker.slot.is_some_and(|slot| line.is_superseded(slot))
}

fn recorded_line(asker: Asker<'_>, names: &Names, key: &PublicKey) -> io::Result<String> {
    if !names.can_be_written() {
        let why = format!("{:?} has no place in a file of known hosts", names.name);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let line = key.to_openssh().map_err(io::Error::other)?;
    // An OpenSSH public key is `algorithm base64 comment`; the comment is ours to choose.
    let words: Vec<&str> = line.split(' ').take(2).collect();
    let comment = match asker.slot {
        None => "anneal, a jump host".to_owned(),
        Some((slot, generation)) => {
            let plain = |c: char| if c.is_whitespace() || c.is_control() { '_' } else { c };
            format!("anneal slot={} generation={generation}", slot.chars().map(plain).collect::<String>())
        }
    };
    Ok(format!("{} {} {comment}\n", names.name, words.join(" ")))
}

/// A key's SHA-256 fingerprint, as `ssh-keygen -l` writes it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn read_if_there(path: &Path) -> io::Result<String> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(limits::KNOWN_HOSTS_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limits::KNOWN_HOSTS_BYTES {
        return Err(failed(io::Error::other(format!("has more than {} bytes", limits::KNOWN_HOSTS_BYTES))));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A server of which nothing but its address counts.
#[cfg(test)]
pub(super) fn server(address: &str, port: u16) -> SshServer {
    SshServer {
        address: address.into(),
        port,
        user: "root".into(),
        auth: Vec::new(),
        host_key: super::HostKeyPolicy::Strict,
        known_as: None,
        known_hosts: Vec::new(),
    }
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
        let server = server(address, port);
        let asker = Asker { slot: Some(("web", 2)), server: &server };
        let known = KnownHosts::new(first, vec![second, folder.join("missing")]);
        let shown = Shown { key: PublicKey::from_openssh(A).unwrap(), certificate: None };
        let verdict = known.judge(asker, &shown, 0).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        match verdict {
            KeyStanding::Known(_) => "known".into(),
            KeyStanding::Unknown => "unknown".into(),
            KeyStanding::Changed(at) => format!("changed {}", at.rsplit_once('/').unwrap().1.trim_end_matches(')')),
            KeyStanding::Revoked(at) => format!("revoked {}", at.rsplit_once('/').unwrap().1),
            KeyStanding::Vouched(_) | KeyStanding::BadCertificate(_) => panic!("no certificate was shown"),
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
            ("h.example KEY_B", "h.example", 2222, "unknown"),
            // But the same key on another port is known, and a withdrawn one withdrawn, as for ssh(1).
            ("h.example KEY_A", "h.example", 2222, "known"),
            ("@revoked h.example KEY_A", "h.example", 2222, "revoked own:1"),
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
