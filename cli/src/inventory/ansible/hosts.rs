//! From variables to hosts: what Ansible would do with `ansible_host`, `ansible_user` and the rest is what is done here.
//!
//! Where two variables say the same, the one that Ansible itself lets win wins. What cannot be done is an error of that host alone,
//! told when it is used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::arguments;
use super::template::{self, Resolved, Scope};
use super::tree::{Order, Tree};
use super::value::Value;
use super::vault::Password;
use crate::inventory::{Agent, Host, Key, Ssh};
use crate::secret_source::SecretSource;

/// Labels that are kept of one host for a workflow to choose from.
const LABELS: usize = 1_000;

/// What all hosts of an inventory share.
pub struct Making<'a> {
    /// Groups, hosts and variables.
    pub tree: &'a Tree,
    /// In which order what is said of a host counts.
    pub order: &'a Order<'a>,
    /// What opens encrypted values.
    pub password: &'a Password,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl Making<'_> {
    /// A host of the inventory; whether a password of it stands there as plain text.
    pub fn host(&self, name: &str) -> (Host, bool) {
        let variables = self.order.variables(name);
        let of = |name: &str| self.tree.hosts.contains_key(name).then(|| self.order.variables(name));
        let scope = Scope { host: name, variables: &variables, of: &of, env: self.env };
        let mut saying = Saying { scope, password: self.password, plain: false };
        let host = match saying.host() {
            Ok(Some(mut ssh)) => {
                ssh.labels = labels(&variables);
                Host::Ssh(Box::new(ssh))
            }
            Ok(None) => Host::Local,
            Err(why) => Host::Unusable(why),
        };
        (host, saying.plain)
    }
}

/// What the variables of one host say.
struct Saying<'s, 'v> {
    scope: Scope<'s, 'v>,
    password: &'s Password,
    plain: bool,
}

impl Saying<'_, '_> {
    /// Nothing for this machine.
    fn host(&mut self) -> Result<Option<Ssh>, String> {
        match self.text(&["ansible_connection"])?.as_deref() {
            None | Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.builtin.ssh" | "ansible.builtin.paramiko_ssh") => {}
            Some("local" | "ansible.builtin.local") => return Ok(None),
            Some(other) => return Err(format!("ansible_connection is `{}`, and hosts are reached by SSH here", shown(other))),
        }
        if self.yes("ansible_become")? == Some(true)
            && let Some(method) = self.text(&["ansible_become_method"])?
            && !matches!(method.as_str(), "sudo" | "ansible.builtin.sudo" | "community.general.sudo")
        {
            return Err(format!("ansible_become_method is `{}`, and only sudo is known here", shown(&method)));
        }
        if self.find(&["ansible_private_key", "ansible_ssh_private_key"]).is_some() {
            return Err("ansible_private_key holds a key itself: put it into a file and name that".to_owned());
        }
        let mut ssh = Ssh { address: self.scope.host.to_owned(), ..Ssh::default() };
        if let Some(address) = self.text(&["ansible_ssh_host", "ansible_host"])?.filter(|text| !text.is_empty()) {
            ssh.address = address;
        }
        // In the order in which Ansible tells ssh, for which the first of several counts.
        self.arguments("ansible_ssh_args", &mut ssh)?;
        for name in ["ansible_ssh_host_key_checking", "ansible_host_key_checking"] {
            if self.yes(name)? == Some(false) {
                ssh.accept_new_host_key.get_or_insert(true);
            }
        }
        ssh.port = ssh.port.or(self.port()?);
        let passphrase = self.secret(&["ansible_ssh_private_key_passphrase", "ansible_private_key_passphrase"])?;
        let key = self.text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?;
        if let Some(path) = key.filter(|path| !path.is_empty()) {
            ssh.keys.push(Key { path: PathBuf::from(path), passphrase, certificate: None });
        }
        let user = self.text(&["ansible_ssh_user", "ansible_user"])?.filter(|text| !text.is_empty());
        ssh.user = ssh.user.or(user);
        self.arguments("ansible_ssh_common_args", &mut ssh)?;
        self.arguments("ansible_ssh_extra_args", &mut ssh)?;
        // ssh asks an agent too when a key is named, for the agent may be what can use it.
        if ssh.agent == Agent::Usual && !ssh.keys.is_empty() && (self.scope.env)("SSH_AUTH_SOCK").is_some() {
            ssh.agent = Agent::Yes { socket: None, only: Vec::new() };
        }
        ssh.password = self.secret(&["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"])?;
        ssh.sudo_password = self.secret(&[
            "ansible_sudo_pass",
            "ansible_sudo_password",
            "ansible_become_pass",
            "ansible_become_password",
        ])?;
        Ok(Some(ssh))
    }

    fn arguments(&self, name: &str, ssh: &mut Ssh) -> Result<(), String> {
        match self.text(&[name])? {
            Some(text) => arguments::apply(&text, ssh).map_err(|why| format!("{name}: {why}")),
            None => Ok(()),
        }
    }

    /// The first of these that is set: which, and to what.
    fn find<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &Value)> {
        let set = |name: &&'n str| Some((*name, *self.scope.variables.get(*name)?));
        names.iter().find_map(set).filter(|(_, value)| **value != Value::None)
    }

    fn resolved(&self, names: &[&str]) -> Result<Option<(String, Resolved)>, String> {
        let Some((name, value)) = self.find(names) else { return Ok(None) };
        let resolved = template::resolve(value, &self.scope).map_err(|why| format!("{name}: {why}"))?;
        Ok(Some((name.to_owned(), resolved)))
    }

    /// A value that is no secret, as text.
    fn text(&self, names: &[&str]) -> Result<Option<String>, String> {
        let Some((name, resolved)) = self.resolved(names)? else { return Ok(None) };
        match resolved {
            Resolved::Env(variable) => {
                let text = (self.scope.env)(&variable);
                text.map(Some).ok_or_else(|| format!("{name}: the environment variable {variable} is not set"))
            }
            Resolved::Value(Value::Text(text) | Value::Raw(text)) => Ok(Some(text.expose().to_owned())),
            Resolved::Value(Value::Vault(text)) => {
                let plain = self.password.open(text.expose()).map_err(|why| format!("{name}: {why}"))?;
                Ok(Some(plain.expose().to_owned()))
            }
            Resolved::Value(Value::Int(number)) => Ok(Some(number.to_string())),
            Resolved::Value(Value::Bool(yes)) => Ok(Some(yes.to_string())),
            Resolved::Value(Value::None) => Ok(None),
            Resolved::Value(other @ (Value::Float(_) | Value::List(_) | Value::Map(_))) => {
                Err(format!("{name} is {}, where a text is needed", other.kind()))
            }
        }
    }

    /// A truth value as Ansible takes one.
    fn yes(&self, name: &str) -> Result<Option<bool>, String> {
        let Some(text) = self.text(&[name])? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "y" | "t" | "1" => Ok(Some(true)),
            "no" | "false" | "off" | "n" | "f" | "0" | "" => Ok(Some(false)),
            _ => Err(format!("{name} is no truth value")),
        }
    }

    fn port(&self) -> Result<Option<u16>, String> {
        let Some(text) = self.text(&["ansible_ssh_port", "ansible_port"])? else { return Ok(None) };
        match text.trim().parse() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err("ansible_port is no TCP port".to_owned()),
        }
    }

    /// Where a secret comes from: the file itself, what ansible-vault encrypted there, or the environment.
    fn secret(&mut self, names: &[&str]) -> Result<Option<SecretSource>, String> {
        let Some((name, resolved)) = self.resolved(names)? else { return Ok(None) };
        match resolved {
            Resolved::Env(variable) => Ok(Some(SecretSource::Env(variable))),
            Resolved::Value(Value::Text(text) | Value::Raw(text)) => {
                self.plain = true;
                Ok(Some(SecretSource::Here(text)))
            }
            Resolved::Value(Value::Int(number)) => {
                self.plain = true;
                Ok(Some(SecretSource::Here(store::Secret::from(number.to_string()))))
            }
            Resolved::Value(Value::Vault(text)) => Ok(Some(SecretSource::Vault(text, self.password.clone()))),
            Resolved::Value(Value::None) => Ok(None),
            Resolved::Value(other @ (Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_))) => {
                Err(format!("{name} is {}, where a text is needed", other.kind()))
            }
        }
    }
}

/// A value for a message: not much of it, and nothing that a terminal takes for more.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).take(64).collect()
}

/// What workflows may ask of the host. Labels are public, so nothing becomes one whose name or value speaks of a secret.
fn labels(variables: &BTreeMap<&str, &Value>) -> BTreeMap<String, String> {
    variables
        .iter()
        .filter(|(name, _)| !name.is_empty() && name.len() <= engine::limits::LABEL_BYTES)
        .filter(|(name, _)| !name.starts_with("ansible_") && !is_secret_name(name))
        .filter_map(|(name, value)| Some(((*name).to_owned(), label(value)?)))
        .take(LABELS)
        .collect()
}

fn label(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) if template::is_template(text.expose()) => return None,
        Value::Text(text) | Value::Raw(text) => text.expose().to_owned(),
        Value::None | Value::Vault(_) | Value::List(_) | Value::Map(_) => return None,
    };
    let login = text.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')));
    let fits = text.len() <= engine::limits::LABEL_BYTES && !text.contains(char::is_control) && !login;
    fits.then_some(text)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "cred", "private", "vault"].iter().any(|word| name.contains(word))
}
