//! The inventory: hosts, who fills which role, and inputs – with every secret by reference.
//!
//! What it says is the same in every format ([`Inventory`]); here it is told which of them a file is in.

mod model;
mod ron;
mod ssh_config;

use std::path::Path;

pub use model::{Agent, Host, Input, Inventory, Ssh, SshConfig, Via};

use crate::report::Problem;

/// Bytes of the largest inventory.
const INVENTORY_BYTES: u64 = 4 * 1024 * 1024;

/// What an inventory is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Anneal's own.
    Ron,
    /// ssh_config(5).
    SshConfig,
}

/// Reads an inventory.
pub fn open(path: &Path) -> Result<Inventory, Problem> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        Problem::usage(format!("the inventory `{name}` cannot be read: {why}"))
            .hint("name an inventory file (.ron), or an ssh configuration such as ~/.ssh/config")
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.len() > INVENTORY_BYTES {
        let bytes = meta.len();
        return Err(Problem::usage(format!(
            "the inventory `{name}` has {bytes} bytes; {INVENTORY_BYTES} are the most"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    match format(path, &text) {
        Format::Ron => ron::parse(&name, &text),
        Format::SshConfig => ssh_config::hosts(path),
    }
}

/// By the file's name, else by its first word.
fn format(path: &Path, text: &str) -> Format {
    if path.extension().is_some_and(|extension| extension == "ron") {
        return Format::Ron;
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let word = first.and_then(|line| line.split([' ', '\t', '=', '"']).next()).unwrap_or_default();
    match crate::ssh_config::is_known(word) {
        true => Format::SshConfig,
        false => Format::Ron,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_told_by_name_and_first_word() {
        let of = |name: &str, text: &str| format(Path::new(name), text);
        assert_eq!(of("inv.ron", "Host a"), Format::Ron);
        assert_eq!(of("inv", "// hosts\nInventory(hosts: {})"), Format::Ron);
        assert_eq!(of("inv", "(\n hosts: {})"), Format::Ron);
        assert_eq!(of("inv", ""), Format::Ron);
        assert_eq!(of("config", "# mine\n\n  host=a\nPort 1"), Format::SshConfig);
        assert_eq!(of("config", "Include conf.d/*\n"), Format::SshConfig);
        assert_eq!(of("lab.conf", "StrictHostKeyChecking no\nHost a"), Format::SshConfig);
    }
}
