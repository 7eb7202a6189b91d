//! `Sealed("name")`: secrets that the store keeps, fetched from whoever holds it before they are needed.
//!
//! Nobody is asked where nothing is sealed: then no store is opened for it.

use std::collections::{BTreeMap, BTreeSet};

use server::SecretValues;
use store::Secret;

use crate::inventory::{Host, Input, Inventory, Ssh, Via};
use crate::report::Problem;
use crate::secret_source::SecretSource;
use crate::session::Session;

/// Puts the secrets themselves in the place of the references. One that the store does not have stays, and is an error where it is used.
pub async fn fetch(
    inventory: &mut Inventory,
    inputs: &mut BTreeMap<String, Input>,
    session: &mut Session<'_>,
) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    let mut found = places(inventory, inputs);
    for source in &found {
        if let SecretSource::Sealed(name) = source {
            names.insert(name.clone());
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let request = SecretValues { names: names.into_iter().collect() };
    let values = session.ask(async |client| client.secret_values(&request).await).await?;
    let values: BTreeMap<String, Secret> =
        values.into_iter().map(|(name, value)| (name, Secret::from(value.0))).collect();
    for source in &mut found {
        if let SecretSource::Sealed(name) = source
            && let Some(value) = values.get(name)
        {
            **source = SecretSource::Here(value.clone());
        }
    }
    Ok(())
}

/// Everything that may be a reference.
fn places<'a>(inventory: &'a mut Inventory, inputs: &'a mut BTreeMap<String, Input>) -> Vec<&'a mut SecretSource> {
    let mut found = Vec::new();
    for host in inventory.hosts.values_mut() {
        match host {
            Host::Ssh(ssh) => of_ssh(ssh, &mut found),
            Host::Local | Host::Unusable(_) => {}
        }
    }
    for input in inventory.inputs.values_mut().chain(inputs.values_mut()) {
        match input {
            Input::From(source) => found.push(source),
            Input::Value(_) => {}
        }
    }
    found
}

fn of_ssh<'a>(ssh: &'a mut Ssh, found: &mut Vec<&'a mut SecretSource>) {
    found.extend(ssh.password.iter_mut().chain(&mut ssh.sudo_password));
    found.extend(ssh.keys.iter_mut().filter_map(|key| key.passphrase.as_mut()));
    found.extend(ssh.interactive.iter_mut().map(|answer| &mut answer.answer));
    for via in ssh.via.iter_mut().flatten() {
        match via {
            Via::Ssh(ssh) => of_ssh(ssh, found),
            Via::Name(_) | Via::Command(_) => {}
        }
    }
}
