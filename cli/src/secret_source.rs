//! Where a secret comes from: the environment, a file, a command, a prompt – never the command line.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::inventory::Password;
use crate::prompt;

/// The longest secret, bytes.
const SECRET_BYTES: u64 = 64 * 1024;

/// A reference to a secret, as an inventory writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum SecretSource {
    /// An environment variable of the command.
    Env(String),
    /// A file; a line end at its end is not part of the secret.
    File(PathBuf),
    /// What a program writes to its standard output; a line end at its end is not part of the secret.
    Command(Vec<String>),
    /// Whoever sits at the terminal.
    Prompt,
    /// Sealed in the store, under this name ([`crate::sealed`] fetches it).
    Sealed(String),
    /// It stands in an inventory of Ansible's itself; nothing that is written for Anneal can say so.
    #[serde(skip)]
    Here(store::Secret),
    /// `ansible-vault` has encrypted it in an inventory of Ansible's.
    #[serde(skip)]
    Vault(store::Secret, Password),
}

impl SecretSource {
    /// The secret. The error says where it was looked for and never what was found.
    pub fn resolve(&self, what: &str) -> Result<Zeroizing<String>, String> {
        match self {
            SecretSource::Env(name) => std::env::var(name)
                .map(Zeroizing::new)
                .map_err(|_| format!("{what}: the environment variable {name} is not set, or not text")),
            SecretSource::File(path) => read(path).map_err(|why| format!("{what}: {}: {why}", path.display())),
            SecretSource::Command(argv) => {
                run(argv).map_err(|why| format!("{what}: `{}`: {why}", argv.first().map_or("", String::as_str)))
            }
            SecretSource::Prompt => prompt::secret(what),
            SecretSource::Sealed(name) => Err(format!(
                "{what}: no secret `{name}` is sealed in the store; `anneal secret set {name}` asks for it"
            )),
            SecretSource::Here(secret) => Ok(Zeroizing::new(secret.expose().to_owned())),
            SecretSource::Vault(vault, password) => {
                let plain = password.open(vault.expose()).map_err(|why| format!("{what}: {why}"))?;
                Ok(Zeroizing::new(plain.expose().to_owned()))
            }
        }
    }
}

/// The text of a file as a secret; one line end at its end is not part of it.
pub fn read(path: &PathBuf) -> Result<Zeroizing<String>, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.len() > SECRET_BYTES {
        return Err(format!("it has {} bytes; a secret has {SECRET_BYTES} at most", meta.len()));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| error.to_string())?);
    text(&bytes)
}

fn run(argv: &[String]) -> Result<Zeroizing<String>, String> {
    let (program, args) = argv.split_first().ok_or("the list is empty")?;
    // Its stderr goes to the terminal, so that it can ask for what it needs.
    let output = Command::new(program)
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let bytes = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(format!("it failed with {}", output.status));
    }
    if bytes.len() as u64 > SECRET_BYTES {
        return Err(format!("it wrote {} bytes; a secret has {SECRET_BYTES} at most", bytes.len()));
    }
    text(&bytes)
}

/// Bytes as a secret; one line end at their end is not part of it.
pub fn text(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}
