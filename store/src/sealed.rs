//! Secrets on the disk: one sealed file for each operation, and one for each lasting record.
//!
//! An append-only log cannot forget, a file can: so secrets never go into the log (I8). The file of an operation is
//! deleted with the need for it. A file is replaced as a whole, durably; it is read whole or not at all.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `ANSEALED` |
//! | 8..10 | format, u16 |
//! | 10..18 | which key: the first bytes of a SHA-256 that is made of it |
//! | 18..30 | nonce, random |
//! | 30.. | ChaCha20-Poly1305 of the secrets, the tag of 16 bytes at the end |
//!
//! Sealed with it, but not hidden, are the first 18 bytes and the file's name: a file under another name does not open.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::durable;
use crate::error::{Error, ErrorKind};
use crate::layout::Layout;
use crate::limits::{NAME_BYTES, SEALED_BYTES};
use crate::manifest::FORMAT;
use crate::secret::Secret;
use crate::stats::Counters;

const MAGIC: [u8; 8] = *b"ANSEALED";
const KEY_BYTES: usize = 32;
const PUBLIC: usize = 18;
const HEADER: usize = PUBLIC + NONCE_LEN;
const TAG: usize = 16;

/// Secrets by name.
pub type Secrets = BTreeMap<String, Secret>;

/// The sealed files of a store. All calls wait for the disk: asynchronous callers use `spawn_blocking`.
pub struct Sealed {
    layout: Layout,
    counters: Arc<Counters>,
    key: Result<Key, Error>,
    /// Held while files are changed: two writers of one file would share its temporary name.
    changing: Mutex<()>,
}

struct Key {
    cipher: LessSafeKey,
    id: [u8; 8],
}

/// Makes the key, durably. It is never made a second time: that would make everything unreadable that was sealed.
pub(crate) fn create_key(path: &Path, counters: &Counters) -> Result<(), Error> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    random(key.as_mut_slice(), path)?;
    durable::write_file(path, key.as_slice(), counters).map(drop)
}

impl Sealed {
    /// A key that is missing or no key is told when it is needed: all else can be used without it.
    pub(crate) fn open(layout: Layout, counters: Arc<Counters>) -> Result<(Sealed, usize), Error> {
        let stale = durable::remove_temporaries(&layout.secrets())? + durable::remove_temporaries(&layout.records())?;
        Ok((Sealed::reading(layout, counters), stale))
    }

    /// Without changing anything.
    pub(crate) fn reading(layout: Layout, counters: Arc<Counters>) -> Sealed {
        let key = read_key(&layout.key());
        Sealed { layout, counters, key, changing: Mutex::new(()) }
    }

    /// All sealed files, and to which operation each belongs, if to one.
    pub(crate) fn paths(&self) -> Result<Vec<(PathBuf, Option<Uuid>)>, Error> {
        let of_operation = |operation: Uuid| (self.operation_path(&operation), Some(operation));
        let mut paths: Vec<_> = self.operations()?.into_iter().map(of_operation).collect();
        paths.extend(self.names()?.into_iter().map(|name| (self.layout.records().join(name), None)));
        Ok(paths)
    }

    /// Whether a sealed file can be opened.
    pub(crate) fn check(&self, path: &Path) -> Result<(), Error> {
        self.unseal(path).map(drop)
    }

    /// Nothing is sealed or forgotten while the guard is held.
    pub(crate) fn pin(&self) -> MutexGuard<'_, ()> {
        self.changing()
    }

    /// Why there is no key, if there is none.
    pub(crate) fn key_error(&self) -> Option<&Error> {
        self.key.as_ref().err()
    }

    pub(crate) fn key_missing(&self) -> bool {
        matches!(&self.key, Err(error) if *error.kind() == ErrorKind::KeyMissing)
    }

    /// Seals the secrets of an operation, instead of those it had.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], [`ErrorKind::KeyMissing`], [`ErrorKind::WrongKey`], [`ErrorKind::Full`],
    /// [`ErrorKind::Io`].
    pub fn write(&self, operation: &Uuid, secrets: &Secrets) -> Result<(), Error> {
        self.seal(&self.operation_path(operation), secrets)
    }

    /// The secrets of an operation; `None` when there are none.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`], [`ErrorKind::WrongKey`], [`ErrorKind::DamagedSecrets`], [`ErrorKind::NewerFormat`],
    /// [`ErrorKind::Io`].
    pub fn read(&self, operation: &Uuid) -> Result<Option<Secrets>, Error> {
        self.unseal(&self.operation_path(operation))
    }

    /// Forgets the secrets of an operation, durably; `false` when there were none.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn delete(&self, operation: &Uuid) -> Result<bool, Error> {
        let _changing = self.changing();
        durable::remove_file(&self.operation_path(operation), &self.counters)
    }

    /// The operations that have sealed secrets, sorted.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn operations(&self) -> Result<Vec<Uuid>, Error> {
        let names = durable::names(&self.layout.secrets())?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Seals the secrets of a lasting record, instead of those it had. A name has `a-z`, `0-9`, `.`, `_` and `-`.
    ///
    /// # Errors
    /// As for [`write`](Self::write), and [`ErrorKind::BadName`].
    pub fn write_named(&self, name: &str, secrets: &Secrets) -> Result<(), Error> {
        self.seal(&self.record_path(name)?, secrets)
    }

    /// The secrets of a lasting record; `None` when there are none.
    ///
    /// # Errors
    /// As for [`read`](Self::read), and [`ErrorKind::BadName`].
    pub fn read_named(&self, name: &str) -> Result<Option<Secrets>, Error> {
        self.unseal(&self.record_path(name)?)
    }

    /// Forgets the secrets of a lasting record, durably; `false` when there were none.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`], [`ErrorKind::Io`].
    pub fn delete_named(&self, name: &str) -> Result<bool, Error> {
        let _changing = self.changing();
        durable::remove_file(&self.record_path(name)?, &self.counters)
    }

    /// The names of the lasting records, sorted.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = durable::names(&self.layout.records())?;
        names.retain(|name| is_name(name));
        Ok(names)
    }

    /// Where the secrets of an operation lie, if it has any.
    pub fn operation_path(&self, operation: &Uuid) -> PathBuf {
        self.layout.secrets().join(operation.hyphenated().to_string())
    }

    fn record_path(&self, name: &str) -> Result<PathBuf, Error> {
        let size = name.len() as u64;
        if size > NAME_BYTES {
            return Err(Error::too_large("NAME_BYTES", size, NAME_BYTES));
        }
        if is_name(name) {
            Ok(self.layout.records().join(name))
        } else {
            Err(Error::new(ErrorKind::BadName { name: name.to_owned() }))
        }
    }

    fn seal(&self, path: &Path, secrets: &Secrets) -> Result<(), Error> {
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let mut hidden = encode(secrets)?;
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce, path)?;
        let public = public(key);
        let tag = key
            .cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), associated(&public, path), &mut hidden)
            .map_err(|_| Error::io("seal the secrets", path, io::Error::other("the cipher refuses")))?;
        let mut file = Vec::with_capacity(HEADER + hidden.len() + TAG);
        file.extend_from_slice(&public);
        file.extend_from_slice(&nonce);
        file.extend_from_slice(&hidden);
        file.extend_from_slice(tag.as_ref());
        let _changing = self.changing();
        durable::write_file(path, &file, &self.counters).map(drop)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn unseal(&self, path: &Path) -> Result<Option<Secrets>, Error> {
        let damaged = |what| Error::new(ErrorKind::DamagedSecrets { what }).at(path);
        let bytes = match fs::metadata(path) {
            Ok(found) if found.len() > SEALED_BYTES + (HEADER + TAG) as u64 => return Err(damaged("it is too large")),
            Ok(_) => fs::read(path),
            Err(error) => Err(error),
        };
        let mut bytes = match bytes {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read the sealed file", path, error)),
        };
        // Only now: without its key a store that has nothing sealed is whole.
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let Some((header, sealed)) = bytes.split_at_mut_checked(HEADER) else { return Err(damaged("it is too short")) };
        let Some((hidden, tag)) = sealed.len().checked_sub(TAG).and_then(|at| sealed.split_at_mut_checked(at)) else {
            return Err(damaged("it is too short"));
        };
        if header[..8] != MAGIC {
            return Err(damaged("it does not begin as one"));
        }
        let format = u16::from_le_bytes([header[8], header[9]]);
        if format > FORMAT {
            return Err(Error::new(ErrorKind::NewerFormat { found: format, supported: FORMAT }).at(path));
        }
        if header[10..PUBLIC] != key.id {
            return Err(Error::new(ErrorKind::WrongKey).at(path));
        }
        let (nonce, tag) = (<[u8; NONCE_LEN]>::try_from(&header[PUBLIC..]), <[u8; TAG]>::try_from(&*tag));
        let (Ok(nonce), Ok(tag)) = (nonce, tag) else { return Err(damaged("it is too short")) };
        let plain = key
            .cipher
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                associated(&header[..PUBLIC], path),
                Tag::from(tag),
                hidden,
                0..,
            )
            .map_err(|_| damaged("it is not as it was written, or was written under another name"))?;
        decode(plain).map(Some).ok_or_else(|| damaged("its content cannot be decoded"))
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").finish_non_exhaustive()
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && !name.ends_with(crate::layout::TEMPORARY)
}

fn read_key(path: &Path) -> Result<Key, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(ErrorKind::KeyMissing).at(path));
        }
        Err(error) => return Err(Error::io("read the key of the sealed files", path, error)),
    };
    let wrong = || Error::new(ErrorKind::WrongKey).at(path);
    if bytes.len() != KEY_BYTES {
        return Err(wrong());
    }
    let cipher = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| wrong())?;
    let mut named = Zeroizing::new(b"anneal: which key is it".to_vec());
    named.extend_from_slice(&bytes);
    let mut id = [0; 8];
    id.copy_from_slice(&digest(&SHA256, &named).as_ref()[..8]);
    Ok(Key { cipher: LessSafeKey::new(cipher), id })
}

fn public(key: &Key) -> [u8; PUBLIC] {
    let mut public = [0; PUBLIC];
    public[..8].copy_from_slice(&MAGIC);
    public[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    public[10..].copy_from_slice(&key.id);
    public
}

fn associated(public: &[u8], path: &Path) -> Aad<Vec<u8>> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    Aad::from([public, name].concat())
}

fn random(bytes: &mut [u8], path: &Path) -> Result<(), Error> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| Error::io("draw random numbers", path, io::Error::other("the system gives none")))
}

/// Count u32, then for each its name and its value, each with a length u32. The buffer never grows, so no copy of a secret
/// stays behind in memory.
fn encode(secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>, Error> {
    let size = 4 + secrets.iter().map(|(name, secret)| 8 + name.len() + secret.expose().len()).sum::<usize>();
    if size as u64 > SEALED_BYTES {
        return Err(Error::too_large("SEALED_BYTES", size as u64, SEALED_BYTES));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bytes.extend_from_slice(&(secrets.len() as u32).to_le_bytes());
    for (name, secret) in secrets {
        for text in [name.as_str(), secret.expose()] {
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Option<Secrets> {
    fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        *bytes = rest;
        std::str::from_utf8(text).ok()
    }
    let (count, mut rest) = bytes.split_first_chunk()?;
    let mut secrets = Secrets::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let name = text(&mut rest)?.to_owned();
        secrets.insert(name, Secret::from(text(&mut rest)?));
    }
    rest.is_empty().then_some(secrets)
}
