//! The inventory: hosts, who fills which role, and inputs – with every secret by reference.
//!
//! What it says is the same in every format ([`Inventory`]); here it is told which of them a file is in.

mod ansible;
mod model;
mod ron;
mod ssh_config;

use std::io::Read as _;
use std::path::Path;

pub use ansible::Password;
pub use model::{Agent, Host, Input, Inventory, Key, Ssh, SshConfig, Via};

use crate::report::Problem;

/// Bytes of the largest inventory.
const INVENTORY_BYTES: u64 = 4 * 1024 * 1024;
/// So many bytes tell in which format a file is.
const START_BYTES: u64 = 4 * 1024;

/// What an inventory is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Anneal's own.
    Ron,
    /// ssh_config(5).
    SshConfig,
    /// Ansible's: INI, YAML, a folder, a script.
    Ansible,
}

/// Reads an inventory. `password` is what ansible-vault has encrypted with.
pub fn open(path: &Path, password: &Password) -> Result<Inventory, Problem> {
    let format = match path.is_dir() {
        true => Format::Ansible,
        false => format(path, &start(path)),
    };
    match format {
        Format::Ron => open_ron(path),
        Format::SshConfig => ssh_config::hosts(path),
        Format::Ansible => ansible::open(path, password),
    }
}

/// How a file begins; nothing where it cannot be read, which is told when all of it is to be.
fn start(path: &Path) -> String {
    let mut start = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(START_BYTES).read_to_end(&mut start)) {
        Ok(_) => String::from_utf8_lossy(&start).into_owned(),
        Err(_) => String::new(),
    }
}

fn open_ron(path: &Path) -> Result<Inventory, Problem> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        Problem::usage(format!("the inventory `{name}` cannot be read: {why}"))
            .hint("name an inventory file (.ron), one of Ansible's, or an ssh configuration such as ~/.ssh/config")
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

/// By the file's name, else by how it begins.
fn format(path: &Path, start: &str) -> Format {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ron") => return Format::Ron,
        Some("ini" | "yml" | "yaml" | "json") => return Format::Ansible,
        Some(_) | None => {}
    }
    let start = start.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with("#!") && !start.starts_with("#![") {
        return Format::Ansible;
    }
    let first =
        start.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let word = first.split([' ', '\t', '=', '"']).next().unwrap_or_default();
    // A host of Ansible's may be called `host`.
    if crate::ssh_config::is_known(word) && !first.contains("ansible_") {
        return Format::SshConfig;
    }
    match first.is_empty() || ["//", "/*", "(", "Inventory", "#!["].iter().any(|begin| start.starts_with(begin)) {
        true => Format::Ron,
        false => Format::Ansible,
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
        assert_eq!(of("inv", "/* hosts */ (hosts: {})"), Format::Ron);
        assert_eq!(of("hosts", "# mine\n[web]\na\n"), Format::Ansible);
        assert_eq!(of("hosts", "web1 ansible_host=192.0.2.1\n"), Format::Ansible);
        assert_eq!(of("hosts", "host ansible_host=192.0.2.1\n"), Format::Ansible);
        assert_eq!(of("hosts", "all:\n  hosts:\n"), Format::Ansible);
        assert_eq!(of("hosts.ini", "Host a"), Format::Ansible);
        assert_eq!(of("dynamic", "#!/bin/sh\nhost a"), Format::Ansible);
        assert_eq!(of("vaulted", "$ANSIBLE_VAULT;1.1;AES256\n00"), Format::Ansible);
        assert_eq!(of("config", "# mine\n\n  host=a\nPort 1"), Format::SshConfig);
        assert_eq!(of("config", "Include conf.d/*\n"), Format::SshConfig);
        assert_eq!(of("lab.conf", "StrictHostKeyChecking no\nHost a"), Format::SshConfig);
    }
}
