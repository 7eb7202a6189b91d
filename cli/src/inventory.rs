//! The inventory: hosts, who fills which role, and inputs – with every secret by reference.
//!
//! What it says is the same in every format ([`Inventory`]); here it is told which of them a file is in.

mod ansible;
mod model;
mod ron;

use std::io::Read as _;
use std::path::Path;

pub use ansible::Password;
pub use model::{Agent, Host, Input, Inventory, Key, Ssh, SshConfig, Via};

use crate::report::Problem;

/// Bytes of the largest inventory.
const INVENTORY_BYTES: u64 = 4 * 1024 * 1024;
/// So many bytes tell in which format a file is.
const START_BYTES: u64 = 4 * 1024;

/// Reads an inventory of any format. `password` is what ansible-vault encrypted with.
pub fn open(path: &Path, password: &Password) -> Result<Inventory, Problem> {
    match is_ron(path) {
        true => open_ron(path),
        false => ansible::open(path, password),
    }
}

/// Whether a file is one of our own: by its name, or by how it begins, after comments.
fn is_ron(path: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension == "ron") || !path.exists() {
        return true;
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(START_BYTES).read_to_end(&mut start));
    if path.is_dir() || read.is_err() {
        return false;
    }
    let text = String::from_utf8_lossy(&start);
    let mut rest = text.trim_start();
    loop {
        rest = match (rest.strip_prefix("//"), rest.strip_prefix("/*")) {
            (Some(line), _) => line.split_once('\n').map_or("", |(_, rest)| rest),
            (None, Some(block)) => block.split_once("*/").map_or("", |(_, rest)| rest),
            (None, None) => return rest.starts_with("Inventory") || rest.starts_with('(') || rest.starts_with("#!["),
        }
        .trim_start();
    }
}

fn open_ron(path: &Path) -> Result<Inventory, Problem> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        Problem::usage(format!("the inventory `{name}` cannot be read: {why}")).hint("name an inventory file (.ron)")
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.len() > INVENTORY_BYTES {
        let bytes = meta.len();
        return Err(Problem::usage(format!(
            "the inventory `{name}` has {bytes} bytes; {INVENTORY_BYTES} are the most"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    ron::parse(&name, &text)
}
