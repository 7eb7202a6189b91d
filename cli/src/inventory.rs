//! The inventory: hosts, who fills which role, and inputs – with every secret by reference.
//!
//! What it says is the same in every format ([`Inventory`]); here it is told which of them a file is in.

mod ansible;
mod model;
mod ron;

use std::path::Path;

pub use model::{Agent, Host, Input, Inventory, Ssh, SshConfig, Via};

use crate::report::Problem;

/// Bytes of the largest inventory.
const INVENTORY_BYTES: u64 = 4 * 1024 * 1024;

/// Reads an inventory.
pub fn open(path: &Path) -> Result<Inventory, Problem> {
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
