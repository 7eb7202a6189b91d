//! `anneal secret`: secrets that are sealed in the store. What one is is never shown.

use std::io::Read;

use engine::lasting::{Lasting, Length};
use server::{SecretRename, SecretSet};
use zeroize::Zeroizing;

use crate::args::{Global, SecretCommand};
use crate::prompt;
use crate::report::{OK, Problem, put, put_json, say};
use crate::secret_source;
use crate::session::Session;
use crate::time::date;

pub async fn run(command: &SecretCommand, global: &Global, session: &mut Session<'_>) -> Result<u8, Problem> {
    match command {
        SecretCommand::Set { name, from_file } => {
            let value = match from_file {
                None => prompt::secret(&format!("secret `{name}`")),
                Some(path) if path.as_os_str() == "-" => standard_input(),
                Some(path) => secret_source::read(path).map_err(|why| format!("{}: {why}", path.display())),
            };
            let request = SecretSet { value: value.map_err(Problem::usage)?.to_string() };
            let replaced = session.ask(async |client| client.set_secret(name, &request).await).await?;
            drop(Zeroizing::new(request.value));
            say(&format!("secret `{name}` is {}", if replaced { "replaced" } else { "set" }));
        }
        SecretCommand::List => {
            let secrets = session.ask(async |client| client.secrets().await).await?;
            match (global.json, secrets.is_empty()) {
                (true, _) => put_json(&secrets)?,
                (false, true) => say("no secrets yet; `anneal secret set NAME` seals one"),
                (false, false) => lines(&secrets).iter().try_for_each(|line| put(line))?,
            }
        }
        SecretCommand::Remove { name } => {
            session.ask(async |client| client.remove_secret(name).await).await?;
            say(&format!("secret `{name}` is removed"));
        }
        SecretCommand::Rename { name, to } => {
            let request = SecretRename { to: to.clone() };
            session.ask(async |client| client.rename_secret(name, &request).await).await?;
            say(&format!("secret `{name}` is called `{to}` now"));
        }
    }
    Ok(OK)
}

fn standard_input() -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let most = engine::limits::LASTING_SECRET_BYTES;
    // Two more, for the line end.
    let read = std::io::stdin().lock().take(most as u64 + 3).read_to_end(&mut bytes);
    read.map_err(|error| format!("standard input: {error}"))?;
    secret_source::text(&bytes).map_err(|why| format!("standard input: {why}"))
}

fn lines(secrets: &[Lasting]) -> Vec<String> {
    let width = secrets.iter().map(|secret| secret.name.len()).max().unwrap_or(0).max(4);
    let head = format!("{:<width$}  {:<19}  LENGTH", "NAME", "SET (UTC)");
    let line = |secret: &Lasting| {
        let length = match secret.length {
            Length::Short => "short: not filtered out of output",
            Length::Usual => "usual",
            Length::Long => "long",
        };
        format!("{:<width$}  {:<19}  {length}", secret.name, date(secret.set_at_ms))
    };
    std::iter::once(head).chain(secrets.iter().map(line)).collect()
}
