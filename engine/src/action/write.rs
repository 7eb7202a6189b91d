//! `WriteFile` and `WriteFiles`: files with a given content, which may be secret.
//!
//! All files are looked at before the first is written, so that what can be known beforehand – a link in a file's place, an
//! owner that does not exist – leaves nothing half done. A file that is there as it should be is not touched. The work lives
//! in the engine and is harmless to repeat; what a connection that breaks leaves is each file as it was or as it should be.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::failure::{self, other};
use crate::host::{Content, Host, Progress, Rules, Upload, Written};
use crate::operation::{Failure, NodeOutcome};
use crate::runner::{Call, FileToWrite};

/// Writes them; whether anything changed.
pub async fn write(
    host: &Host,
    call: &Call,
    files: &[FileToWrite],
    progress: &dyn Progress,
) -> Result<Written, Failure> {
    let begun = Instant::now();
    let uploads = uploads(call, files)?;
    let left = |upload: &mut Upload| {
        upload.timeout = call.timeout.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
    };
    let mut missing = Vec::new();
    for mut upload in uploads {
        left(&mut upload);
        // One file alone is looked at when it is written.
        if files.len() == 1 || host.look(&upload).await.map_err(|error| failure::of(&error))? == Written::Changed {
            missing.push(upload);
        }
    }
    let mut written = Written::AlreadySo;
    for mut upload in missing {
        left(&mut upload);
        if host.upload(&upload, progress).await.map_err(|error| failure::of(&error))? == Written::Changed {
            written = Written::Changed;
        }
    }
    Ok(written)
}

/// The files as they are brought to the host, in their order.
pub(crate) fn uploads(call: &Call, files: &[FileToWrite]) -> Result<Vec<Upload>, Failure> {
    let mut paths = HashSet::new();
    match files.iter().find(|file| !paths.insert(&file.to)) {
        Some(twice) => Err(other(format!("`{}` would be written twice", twice.to))),
        None => Ok(files.iter().map(|file| upload(call, file)).collect()),
    }
}

fn upload(call: &Call, file: &FileToWrite) -> Upload {
    let bytes = file.content.expose().as_bytes();
    Upload {
        id: call.job.clone(),
        sha256: store::Digest::of(bytes).hex(),
        from: Content::Bytes(bytes.to_vec()),
        to: file.to.clone(),
        mode: Some(file.mode),
        as_user: call.as_user.clone(),
        timeout: call.timeout,
        rules: Rules {
            owner: file.owner.clone(),
            group: file.group.clone(),
            keep: file.keep.clone(),
            strict: true,
            ..Rules::default()
        },
    }
}

/// What is reported of it.
pub fn outcome(written: Result<Written, Failure>) -> NodeOutcome {
    match written {
        Ok(written) => NodeOutcome::Succeeded {
            out: Default::default(),
            changed: match written {
                Written::Changed => true,
                Written::AlreadySo => false,
            },
            output: None,
        },
        Err(failure) => NodeOutcome::Failed { failure, output: None },
    }
}
