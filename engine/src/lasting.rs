//! Secrets that outlive operations: each sealed in the store under a name of its own, which references give (`Sealed("name")`).
//!
//! A name is one that a file may have (`a-z`, `0-9`, `.`, `_`, `-`). An operation has its own copy of what it uses, sealed with it, so changing or
//! removing one here changes no operation that was created before.

use serde::{Deserialize, Serialize};
use store::{Secret, Secrets, Store};

use crate::error::{Error, Kind};
use crate::limits::{FILTERED_SECRET_BYTES, LASTING_SECRET_BYTES, LASTING_SECRETS};

/// With which the records of such secrets begin: others may lie beside them.
const PREFIX: &str = "secret.";
/// In the record: the secret, and when it was set.
const VALUE: &str = "value";
const SET_AT_MS: &str = "set_at_ms";
/// From how many bytes on a secret counts as long.
const LONG_BYTES: usize = 64;

/// What may be known of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lasting {
    /// Its name.
    pub name: String,
    /// When it was set, UTC milliseconds.
    pub set_at_ms: u64,
    /// About how long it is.
    pub length: Length,
}

/// About how long a secret is: whether output is filtered for it, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Too short to be filtered out of what programs write.
    Short,
    /// As passwords and tokens are.
    Usual,
    /// As keys and certificates are.
    Long,
}

/// Seals a secret, instead of the one of that name; whether there was one. Waits for the disk.
///
/// # Errors
/// [`Kind::Invalid`] for a name or a value that is none, [`Kind::Store`].
pub fn set(store: &Store, name: &str, value: Secret, now_ms: u64) -> Result<bool, Error> {
    let record = record(name)?;
    let bytes = value.expose().len();
    if bytes == 0 || bytes > LASTING_SECRET_BYTES {
        let message = format!("the secret `{name}` has {bytes} bytes; it has 1 to {LASTING_SECRET_BYTES}");
        return Err(Error::new(Kind::Invalid, message));
    }
    let names = names(store)?;
    let known = names.iter().any(|known| known == name);
    if !known && names.len() >= LASTING_SECRETS {
        let message = format!("there are {} secrets; the limit is {LASTING_SECRETS}", names.len());
        return Err(Error::new(Kind::Invalid, message).hint("remove some: `anneal secret remove NAME`"));
    }
    let sealed = Secrets::from([(VALUE.to_owned(), value), (SET_AT_MS.to_owned(), Secret::from(now_ms.to_string()))]);
    store.sealed().write_named(&record, &sealed)?;
    Ok(known)
}

/// All secrets, by name. Waits for the disk.
///
/// # Errors
/// [`Kind::Store`].
pub fn list(store: &Store) -> Result<Vec<Lasting>, Error> {
    let mut all = Vec::new();
    for name in names(store)? {
        // Removed in the meantime: then it is not there.
        let Some((value, set_at_ms)) = read(store, &name)? else { continue };
        let length = match value.expose().len() {
            bytes if bytes < FILTERED_SECRET_BYTES => Length::Short,
            bytes if bytes < LONG_BYTES => Length::Usual,
            _ => Length::Long,
        };
        all.push(Lasting { name, set_at_ms, length });
    }
    Ok(all)
}

/// A secret, for the one place that needs it; nothing where there is none. Waits for the disk.
///
/// # Errors
/// [`Kind::Store`].
pub fn get(store: &Store, name: &str) -> Result<Option<Secret>, Error> {
    Ok(read(store, name)?.map(|(value, _)| value))
}

/// Forgets a secret. Waits for the disk.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::Store`].
pub fn remove(store: &Store, name: &str) -> Result<(), Error> {
    match store.sealed().delete_named(&record(name)?)? {
        true => Ok(()),
        false => Err(unknown(store, name)),
    }
}

/// Gives a secret another name. Cut off in the middle it is there under both. Waits for the disk.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::Refused`] where the other name is taken, [`Kind::Store`].
pub fn rename(store: &Store, name: &str, to: &str) -> Result<(), Error> {
    let (from, to_record) = (record(name)?, record(to)?);
    let Some(sealed) = store.sealed().read_named(&from)? else { return Err(unknown(store, name)) };
    if store.sealed().read_named(&to_record)?.is_some() {
        return Err(Error::new(Kind::Refused, format!("there is a secret `{to}` already"))
            .hint(format!("remove it first: `anneal secret remove {to}`")));
    }
    // Sealed anew: a file does not open under another name.
    store.sealed().write_named(&to_record, &sealed)?;
    store.sealed().delete_named(&from)?;
    Ok(())
}

fn read(store: &Store, name: &str) -> Result<Option<(Secret, u64)>, Error> {
    let Some(mut sealed) = store.sealed().read_named(&record(name)?)? else { return Ok(None) };
    let value = sealed.remove(VALUE);
    let set_at_ms = sealed.get(SET_AT_MS).and_then(|text| text.expose().parse().ok());
    match (value, set_at_ms) {
        (Some(value), Some(set_at_ms)) => Ok(Some((value, set_at_ms))),
        _ => Err(Error::new(Kind::Store, format!("what is sealed of the secret `{name}` is not what was written"))
            .hint(format!("set it again: `anneal secret set {name}`"))),
    }
}

fn names(store: &Store) -> Result<Vec<String>, Error> {
    let names = store.sealed().names()?;
    Ok(names.iter().filter_map(|name| name.strip_prefix(PREFIX)).map(str::to_owned).collect())
}

fn record(name: &str) -> Result<String, Error> {
    let most = store::limits::NAME_BYTES as usize - PREFIX.len();
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if begins && name.len() <= most && name.bytes().all(ok) && !name.ends_with(".tmp") {
        return Ok(format!("{PREFIX}{name}"));
    }
    // It may be the secret itself, in the wrong place: it is not repeated.
    let message = format!(
        "that is no name of a secret: it has `a-z`, `0-9`, `.`, `_`, `-`, begins with a letter or digit, and at most {most} bytes"
    );
    Err(Error::new(Kind::Invalid, message))
}

fn unknown(store: &Store, name: &str) -> Error {
    let error = Error::new(Kind::NotFound, format!("there is no secret `{name}`"));
    let known = names(store).unwrap_or_default();
    match dsl::nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
        None => error.hint("`anneal secret list` shows those that there are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap().store;
        (folder, store)
    }

    #[test]
    fn a_secret_is_kept_listed_renamed_and_forgotten() {
        let (_folder, store) = opened();
        assert!(!set(&store, "db.password", Secret::from("canary-4711"), 5).unwrap());
        assert!(set(&store, "db.password", Secret::from("canary-0815"), 6).unwrap(), "it was there");
        set(&store, "pin", Secret::from("1234"), 7).unwrap();
        let listed: Vec<_> =
            list(&store).unwrap().into_iter().map(|one| (one.name, one.set_at_ms, one.length)).collect();
        assert_eq!(listed, [("db.password".to_owned(), 6, Length::Usual), ("pin".to_owned(), 7, Length::Short)]);
        assert_eq!(get(&store, "db.password").unwrap(), Some(Secret::from("canary-0815")));
        assert_eq!(rename(&store, "db.password", "pin").unwrap_err().kind, Kind::Refused);
        rename(&store, "db.password", "old").unwrap();
        assert_eq!(get(&store, "db.password").unwrap(), None);
        assert_eq!(list(&store).unwrap()[0].set_at_ms, 6, "renaming is no setting");
        remove(&store, "old").unwrap();
        assert_eq!(remove(&store, "olt").unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn what_is_no_name_or_no_secret_is_refused_and_not_repeated() {
        let (_folder, store) = opened();
        for name in ["", "../key", "A", ".a", "a b", "a.tmp", "canary-4711/x", &"a".repeat(122)] {
            let error = set(&store, name, Secret::from("x"), 0).unwrap_err();
            assert_eq!(error.kind, Kind::Invalid);
            assert!(!error.message.contains("canary"), "{}", error.message);
        }
        for value in ["", &"x".repeat(LASTING_SECRET_BYTES + 1)] {
            assert_eq!(set(&store, "a", Secret::from(value), 0).unwrap_err().kind, Kind::Invalid);
        }
    }
}
