//! `anneal store …`: looking after the store. Whoever holds it is asked; where nobody does, it is opened for the purpose –
//! but verifying changes nothing and opens nothing, and restoring and importing need a folder that holds no store.

use std::io::Write;
use std::path::{Path, PathBuf};

use engine::runner::Reconciled;
use server::{BackupRequest, ReleaseRequest, VerifyAnswer};

use crate::args::{Global, StoreCommand};
use crate::data_dir::data_dir;
use crate::outfile::OutFile;
use crate::report::{FAILED, OK, Problem, RESTS, put, put_json, say};
use crate::session::Session;
use crate::show::short;
use crate::size::size;
use crate::time::date;
use crate::told::count;

/// Attempts of one operation that are named.
const SHOWN: usize = 5;

pub async fn run(command: &StoreCommand, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    match command {
        StoreCommand::Verify { backup } => verify(backup.as_deref(), global).await,
        StoreCommand::Backup { to } => backup(to, global, session).await,
        StoreCommand::Restore { backup } => {
            let (from, to) = (absolute(backup)?, data_dir(global)?);
            restored(blocking(move || store::restore(&from, &to)).await?, global)
        }
        StoreCommand::Release { force, dry_run } => {
            release(&ReleaseRequest { force: *force, dry_run: *dry_run }, global, session).await
        }
        StoreCommand::Compact => compact(global, session).await,
        StoreCommand::Export { output } => export(output.as_deref(), global, session).await,
        StoreCommand::Import { file } => {
            let mut from = std::fs::File::open(file)
                .map_err(|error| Problem::usage(format!("`{}` cannot be read: {error}", file.display())))?;
            let to = data_dir(global)?;
            restored(blocking(move || store::import(&mut from, &to)).await?, global)
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Problem> {
    std::path::absolute(path).map_err(|error| Problem::usage(format!("`{}` is no path: {error}", path.display())))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Problem::failed(format!("a worker at the store ended: {error}")))??)
}

async fn verify(backup: Option<&Path>, global: &Global) -> Result<u8, Problem> {
    let folder = match backup {
        Some(backup) => absolute(backup)?,
        None => data_dir(global)?,
    };
    let found = match server::holder(&folder).await {
        Some(client) => client.verify_store().await?,
        None => {
            let folder = folder.clone();
            VerifyAnswer::from(blocking(move || store::verify(&folder)).await?)
        }
    };
    let code = if found.problems.is_empty() { OK } else { FAILED };
    if global.json {
        put_json(&found)?;
        return Ok(code);
    }
    put(&format!(
        "{}: {}, {}, {}, {}, {} read",
        folder.display(),
        counted(found.commits, "commit"),
        counted(found.keys, "key"),
        counted(found.blobs, "blob"),
        counted(found.sealed, "sealed file"),
        size(found.bytes),
    ))?;
    for problem in &found.problems {
        put(&format!("✗ {}", problem.what))?;
        put(&format!("  help: {}", problem.hint))?;
    }
    put(match code {
        OK => "all is as it was written",
        _ => "what is named here is not as it was written; the rest is",
    })?;
    Ok(code)
}

async fn backup(to: &Path, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let request = BackupRequest { to: absolute(to)?.to_string_lossy().into_owned() };
    let made = session.ask(async |client| client.back_up_store(&request).await).await?;
    if global.json {
        put_json(&made)?;
    } else {
        let (blobs, sealed) = (counted(made.blobs, "blob"), counted(made.sealed, "sealed file"));
        put(&format!("{}: {}, {blobs}, {sealed}, as of {} UTC", made.folder, size(made.bytes), date(made.at_ms)))?;
        say("it has the key of the secrets: keep it as safe as the store");
    }
    for path in &made.left_out {
        say(&format!("warning: damaged, and not in it: {path}"));
    }
    Ok(if made.left_out.is_empty() { OK } else { FAILED })
}

fn restored(restored: store::Restored, global: &Global) -> Result<u8, Problem> {
    let folder = data_dir(global)?;
    if global.json {
        put_json(&serde_json::json!({
            "folder": folder,
            "store": restored.store,
            "incarnation": restored.incarnation,
            "as_of_ms": restored.held.backed_up_at_ms,
            "commits": restored.commits,
            "blobs": restored.blobs,
            "sealed": restored.sealed,
        }))?;
        return Ok(OK);
    }
    put(&format!(
        "{}: {}, {}, {}, as of {} UTC",
        folder.display(),
        counted(restored.commits, "commit"),
        counted(restored.blobs, "blob"),
        counted(restored.sealed, "sealed file"),
        date(restored.held.backed_up_at_ms),
    ))?;
    say("it is held: what was done on hosts after that time it does not know");
    say("next: `anneal store release`, which looks for it");
    Ok(OK)
}

async fn release(request: &ReleaseRequest, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let released = session.ask(async |client| client.release_store(request).await).await?;
    let code = if released.left.is_empty() { OK } else { RESTS };
    if global.json {
        put_json(&released)?;
        return Ok(code);
    }
    if !released.was_held {
        put("the store is not held")?;
        return Ok(OK);
    }
    if !released.operations.is_empty() {
        put(&format!("{:<8}  {:<16}  {}", "ID", "WORKFLOW", "BEGUN SINCE THE BACKUP"))?;
    }
    for one in &released.operations {
        put(&format!("{:<8}  {:<16}  {}", short(one.operation), one.workflow, since_the_backup(one)))?;
    }
    for left in &released.left {
        put(&format!("✗ {}: {}", short(left.operation), left.why))?;
        put(if released.held {
            "  help: nothing of it goes on; look again when its hosts answer, or `anneal store release --force`"
        } else {
            "  help: it does not go on by itself; `anneal show` says what can be asked of it"
        })?;
    }
    match (request.dry_run, released.held) {
        (true, _) => say("nothing was changed; next: `anneal store release`"),
        (false, true) => put("the store stays held")?,
        (false, false) => {
            put("the store is released")?;
            say("next: `anneal resume --all`");
        }
    }
    Ok(code)
}

/// What was found of an operation, in a few words.
fn since_the_backup(one: &Reconciled) -> String {
    let mut words: Vec<String> =
        one.found.iter().take(SHOWN).map(|found| format!("{} attempt {}", found.node, found.attempt)).collect();
    if one.found.len() > SHOWN {
        words.push(format!("{} more", one.found.len() - SHOWN));
    }
    words.extend(one.undone.iter().take(SHOWN).map(|node| format!("undo of {node}")));
    if !one.no_trace.is_empty() && !one.ended {
        words.push("no trace: it ended since the backup, or nothing was ever begun".to_owned());
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

async fn compact(global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let done = session.ask(async |client| client.compact_store().await).await?;
    if global.json {
        put_json(&done)?;
    } else {
        put(&format!("{} → {}, {}", size(done.before_bytes), size(done.after_bytes), counted(done.keys, "key")))?;
    }
    Ok(OK)
}

async fn export(output: Option<&Path>, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    let mut pieces = session.ask(async |client| client.export_store().await).await?;
    let mut file = output.map(OutFile::create).transpose()?;
    let mut last = Vec::new();
    while let Some(piece) = pieces.next().await? {
        match &mut file {
            Some(file) => file.write(&piece)?,
            None => {
                let mut out = std::io::stdout().lock();
                out.write_all(&piece).and_then(|()| out.flush()).map_err(|error| match error.kind() {
                    std::io::ErrorKind::BrokenPipe => Problem::unread(),
                    _ => Problem::failed(format!("standard output cannot be written: {error}")),
                })?;
            }
        }
        keep_last_line(&mut last, &piece);
    }
    // An answer that broke off looks like one that ended.
    if !last.starts_with(b"{\"end\":") {
        return Err(Problem::failed("the export broke off: it is not whole").hint("`anneal store verify` says why"));
    }
    if let (Some(file), Some(path)) = (file, output) {
        file.finish()?;
        if !global.json {
            say(&format!("written to {}; the secrets and their key are not in it", path.display()));
        }
    }
    Ok(OK)
}

/// What follows the last end of a line but the one at the very end.
fn keep_last_line(last: &mut Vec<u8>, piece: &[u8]) {
    if last.last() == Some(&b'\n') {
        last.clear();
    }
    last.extend_from_slice(piece);
    let body = last.strip_suffix(b"\n").unwrap_or(last);
    if let Some(end) = body.iter().rposition(|byte| *byte == b'\n') {
        last.drain(..=end);
    }
}

fn counted(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}
