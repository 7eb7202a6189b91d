//! Looking at what is in a file's place on a host: whose it is, its size and digest, and its bytes where they are few.

use store::Secret;

use super::error::{Error, ErrorKind};
use super::{Host, Job, JobId, Program, Supervise, limits};

/// What is in a file's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// A symbolic link.
    Link,
    /// A file that the user may not read, or no file.
    Unreadable,
    /// A file.
    File(Inspected),
}

/// A file on a host.
#[derive(Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Permission bits.
    pub mode: u32,
    /// Name of its owner.
    pub owner: String,
    /// Name of its group.
    pub group: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256, lower-case hex, where the host can tell it.
    pub sha256: Option<String>,
    /// Its bytes, where they are no more than was asked for.
    pub bytes: Option<Vec<u8>>,
}

/// Its bytes may be a secret.
impl std::fmt::Debug for Inspected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inspected({} bytes, {:o} {}:{})", self.size_bytes, self.mode, self.owner, self.group)
    }
}

/// Constant text; path and size come by the environment. One line about the file, one with its digest, then its bytes.
const LOOK: &str = r#"[ -h "$ANNEAL_PATH" ] && exit 5
[ -e "$ANNEAL_PATH" ] || exit 3
[ -f "$ANNEAL_PATH" ] && [ -r "$ANNEAL_PATH" ] || exit 4
size=$(wc -c <"$ANNEAL_PATH") || exit 4
stat -c "%a $((size)) %U %G" "$ANNEAL_PATH" || exit 4
sum=$(sha256sum <"$ANNEAL_PATH" 2>/dev/null) || sum=
echo "${sum%% *}"
[ "$size" -gt "$ANNEAL_BYTES" ] || exec cat "$ANNEAL_PATH""#;

/// What comes before the bytes.
const HEAD_BYTES: usize = 4 << 10;

impl Host {
    /// What is in a file's place, with its bytes where there are up to `most`; at most what an output has.
    ///
    /// # Errors
    /// The host cannot be asked. Asking again is harmless.
    pub async fn inspect(&self, id: &JobId, path: &str, as_user: Option<&str>, most: usize) -> Result<There, Error> {
        let most = most.min(limits::OUTPUT_BYTES - HEAD_BYTES);
        let job = Job {
            id: id.clone(),
            program: Program::Shell(LOOK.to_owned()),
            env: vec![
                ("ANNEAL_PATH".to_owned(), Secret::from(path)),
                ("ANNEAL_BYTES".to_owned(), Secret::from(most.to_string())),
            ],
            stdin: None,
            as_user: as_user.map(str::to_owned),
            cwd: None,
            timeout: limits::ASK,
            idle: None,
            supervise: Supervise::Never,
        };
        let end = self.run(&job, &()).await?;
        match end.exit {
            0 => {}
            3 => return Ok(There::Nothing),
            5 => return Ok(There::Link),
            _ => return Ok(There::Unreadable),
        }
        read(&end.stdout.head, most).map(There::File).ok_or_else(|| {
            let said = "what `stat` says of it".to_owned();
            self.error(ErrorKind::Protocol { said }, &format!("looking at {path}"))
        })
    }
}

fn read(said: &[u8], most: usize) -> Option<Inspected> {
    let mut parts = said.splitn(3, |&byte| byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next()?).ok();
    let (about, sum) = (line()?, line()?);
    let mut words = about.split(' ');
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let size_bytes: u64 = words.next()?.parse().ok()?;
    let (owner, group) = (words.next()?.to_owned(), words.next()?.to_owned());
    let bytes = parts.next()?;
    let whole = size_bytes <= most as u64;
    Some(Inspected {
        mode,
        owner,
        group,
        size_bytes,
        sha256: (!sum.is_empty()).then(|| sum.to_owned()),
        // It may have grown or shrunk meanwhile: what came is what there is.
        bytes: whole.then(|| bytes.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_of_a_file_is_read() {
        let file = read(b"640 6 root www-data\nabc\na\nb\n\n\n", 100).expect("a file");
        assert_eq!((file.mode, file.owner.as_str(), file.group.as_str()), (0o640, "root", "www-data"));
        assert_eq!((file.size_bytes, file.sha256.as_deref()), (6, Some("abc")));
        assert_eq!(file.bytes.as_deref(), Some(&b"a\nb\n\n\n"[..]));
        let large = read(b"644 200 root root\n\n", 100).expect("a file");
        assert_eq!((large.bytes, large.sha256), (None, None));
        assert_eq!(read(b"", 1), None);
        assert_eq!(read(b"what\n\n", 1), None);
    }
}
