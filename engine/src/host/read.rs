//! Reading a small file on a host.

use store::Secret;

use super::error::Error;
use super::{Host, Job, JobId, Program, Supervise, limits};

/// What a file on a host turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// All of its bytes.
    Bytes(Vec<u8>),
    /// There is none, or it is no regular file.
    Missing,
    /// The user may not read it.
    Unreadable,
    /// It is larger than what was asked for.
    TooLarge,
}

/// Constant text; path and size come by the environment.
const READ: &str = r#"[ -f "$ANNEAL_PATH" ] || exit 3
[ -r "$ANNEAL_PATH" ] || exit 4
exec head -c "$ANNEAL_BYTES" <"$ANNEAL_PATH""#;

impl Host {
    /// A file's content, of up to `most` bytes; at most what one end of an output has.
    ///
    /// # Errors
    /// The host cannot be asked. Asking again is harmless.
    pub async fn read_file(
        &self,
        id: &JobId,
        path: &str,
        as_user: Option<&str>,
        most: usize,
    ) -> Result<FileContent, Error> {
        let most = most.min(limits::OUTPUT_END_BYTES - 1);
        let job = Job {
            id: id.clone(),
            program: Program::Shell(READ.to_owned()),
            env: vec![
                ("ANNEAL_PATH".to_owned(), Secret::from(path)),
                ("ANNEAL_BYTES".to_owned(), Secret::from((most + 1).to_string())),
            ],
            stdin: None,
            as_user: as_user.map(str::to_owned),
            cwd: None,
            timeout: limits::ASK,
            idle: None,
            supervise: Supervise::Never,
        };
        let end = self.run(&job, &()).await?;
        Ok(match end.exit {
            0 if end.stdout.head.len() > most => FileContent::TooLarge,
            0 => FileContent::Bytes(end.stdout.head),
            3 => FileContent::Missing,
            _ => FileContent::Unreadable,
        })
    }
}
