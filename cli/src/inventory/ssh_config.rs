//! An ssh configuration as an inventory: each name that a `Host` lists as it is, without `*` and `?`, is a host.

use std::path::Path;

use super::model::{Host, Inventory, Ssh, SshConfig};
use crate::reach;
use crate::report::Problem;
use crate::ssh_config::{self, Disk};

/// The hosts that the file names. How each is reached is read when it is asked for.
pub fn hosts(path: &Path) -> Result<Inventory, Problem> {
    let local = reach::local();
    let path = std::path::absolute(path).map_err(|error| Problem::usage(format!("{}: {error}", path.display())))?;
    // The system's configuration belongs to the user's own and to no other, as with `ssh -F`.
    let ssh_config = match path == local.home.join(".ssh/config") {
        true => SshConfig::Usual,
        false => SshConfig::File(path.clone()),
    };
    let names = ssh_config::literal(&path, &Disk::default(), &local)?;
    if names.is_empty() {
        return Err(Problem::usage(format!("the ssh configuration `{}` names no host", path.display()))
            .hint("a host is what `Host` lists without `*` and `?`"));
    }
    let host = |name: String| {
        let ssh = Ssh { address: name.clone(), ssh_config: ssh_config.clone(), ..Ssh::default() };
        (name, Host::Ssh(Box::new(ssh)))
    };
    Ok(Inventory { hosts: names.into_iter().map(host).collect(), ..Inventory::default() })
}
