//! The hosts of a campaign, started once for all its rounds, and the inventories that name them.

use super::broken::Broken;
use super::effects::{self, Effect};
use crate::anneal::Anneal;
use crate::testbed::{Flavour, Host};

/// How many hosts there are.
pub const HOSTS: usize = 3;

/// The hosts.
#[derive(Debug)]
pub struct Fleet(Vec<Host>);

impl Fleet {
    /// Starts them.
    ///
    /// # Panics
    /// When the testbed cannot be used.
    pub fn up() -> Fleet {
        Fleet((0..HOSTS).map(|_| Host::up("cc", Flavour::Bare)).collect())
    }

    /// One of them.
    pub fn host(&self, at: usize) -> &Host {
        &self.0[at]
    }

    /// Writes an inventory with all hosts, and with these roles by their places.
    pub fn inventory(&self, anneal: &Anneal, name: &str, roles: &[(&str, &[usize])]) -> String {
        let mut text = "Inventory(\n    hosts: {\n".to_owned();
        for (at, Host { info, .. }) in self.0.iter().enumerate() {
            let (address, key) = (&info.address, info.key.display());
            text.push_str(&format!(
                "        \"h{at}\": Ssh(address: \"{address}\", user: \"ubuntu\", key: \"{key}\"),\n"
            ));
        }
        text.push_str("    },\n    roles: {\n");
        for (role, places) in roles {
            let slots: Vec<String> = places.iter().map(|at| format!("\"h{at}\"")).collect();
            text.push_str(&format!("        \"{role}\": [{}],\n", slots.join(", ")));
        }
        text.push_str("    },\n)\n");
        anneal.file(&format!("{name}.ron"), text).to_string_lossy().into_owned()
    }

    /// What was executed on all of them so far.
    pub fn effects(&self) -> Result<Vec<Effect>, Broken> {
        let texts: Vec<String> =
            self.0.iter().map(|host| host.sh("cat /home/ubuntu/effects 2>/dev/null || :")).collect();
        effects::read(&texts.concat())
    }
}
