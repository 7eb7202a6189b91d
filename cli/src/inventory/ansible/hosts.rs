//! From variables to hosts: what Ansible would do with `ansible_host`, `ansible_user` and the rest is what is done here.
//!
//! Where two variables say the same, the one that Ansible itself lets win wins. What cannot be done is an error of that host alone,
//! told when it is used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use store::Secret;

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
            None
            | Some(
                "ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.builtin.ssh" | "ansible.builtin.paramiko_ssh",
            ) => {}
            Some("local" | "ansible.builtin.local") => return Ok(None),
            Some(other) => {
                return Err(format!("ansible_connection is `{}`, and hosts are reached by SSH here", shown(other)));
            }
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
        names.iter().filter_map(set).find(|(_, value)| **value != Value::None)
    }

    fn resolved(&self, names: &[&str]) -> Result<Option<(String, Resolved)>, String> {
        let Some((name, value)) = self.find(names) else { return Ok(None) };
        let resolved = template::resolve(value, &self.scope).map_err(|why| format!("{name}: {why}"))?;
        Ok(Some((name.to_owned(), resolved)))
    }

    /// A value that is no secret, as text.
    fn text(&self, names: &[&str]) -> Result<Option<String>, String> {
        let Some((name, resolved)) = self.resolved(names)? else { return Ok(None) };
        let resolved = match resolved {
            Resolved::Value(Value::Hidden(value)) => Resolved::Value(*value),
            resolved => resolved,
        };
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
            Resolved::Value(other @ (Value::Float(_) | Value::List(_) | Value::Map(_) | Value::Hidden(_))) => {
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
        let (value, hidden) = match resolved {
            Resolved::Env(variable) => return Ok(Some(SecretSource::Env(variable))),
            Resolved::Value(Value::Hidden(value)) => (*value, true),
            Resolved::Value(value) => (value, false),
        };
        let text = match value {
            Value::Text(text) | Value::Raw(text) => text,
            Value::Int(number) => Secret::from(number.to_string()),
            Value::Vault(text) => return Ok(Some(SecretSource::Vault(text, self.password.clone()))),
            Value::None => return Ok(None),
            Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) | Value::Hidden(_) => {
                return Err(format!("{name} is {}, where a text is needed", value.kind()));
            }
        };
        self.plain |= !hidden;
        Ok(Some(SecretSource::Here(text)))
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
        Value::None | Value::Vault(_) | Value::Hidden(_) | Value::List(_) | Value::Map(_) => return None,
    };
    let login =
        text.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')));
    let fits = text.len() <= engine::limits::LABEL_BYTES && !text.contains(char::is_control) && !login;
    fits.then_some(text)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "cred", "private", "vault"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::inventory::Via;
    use crate::inventory::ansible::load::load;
    use crate::inventory::ansible::tree::Tree;
    use crate::inventory::ansible::{ini, inventory};

    /// What an INI inventory says of its host `h`.
    fn host(text: &str) -> Host {
        let mut tree = Tree::new();
        ini::read(text, &mut tree).unwrap();
        tree.settle();
        let (mut inventory, _) =
            inventory(&tree, &Password::default(), &|name| (name == "U").then(|| "ann".to_owned()));
        inventory.hosts.remove("h").unwrap()
    }

    fn ssh(text: &str) -> Ssh {
        match host(text) {
            Host::Ssh(ssh) => *ssh,
            other => panic!("{other:?}"),
        }
    }

    fn here(secret: Option<SecretSource>) -> String {
        secret.map_or_else(
            || "nothing".to_owned(),
            |source| source.resolve("it").map_or_else(|why| why, |text| text.to_string()),
        )
    }

    #[test]
    fn variables_say_how_a_host_is_reached() {
        let found = ssh(
            "h ansible_host=192.0.2.1 ansible_port=2222 ansible_user={{lookup('env','U')}} ansible_private_key_file=~/k ansible_password=p1 ansible_become_pass='s 1'\n",
        );
        assert_eq!((found.address.as_str(), found.port, found.user.as_deref()), ("192.0.2.1", Some(2222), Some("ann")));
        assert_eq!(found.keys[0].path, PathBuf::from("~/k"));
        assert_eq!((here(found.password), here(found.sudo_password)), ("p1".to_owned(), "s 1".to_owned()));
        let old = ssh(
            "h:23 ansible_ssh_host=a ansible_host=b ansible_ssh_user=u ansible_user=v ansible_ssh_pass=p ansible_password=q\n",
        );
        assert_eq!(
            (old.address.as_str(), old.port, old.user.as_deref()),
            ("a", Some(23), Some("u")),
            "the last of Ansible's list wins"
        );
        assert_eq!(here(old.password), "p");
        let number = ssh("h ansible_password=12345678\n");
        assert_eq!(here(number.password), "12345678");
        let jump = ssh(
            "h ansible_ssh_common_args='-J gate' ansible_ssh_extra_args='-p 7'\n[all:vars]\nansible_port=8\nansible_host_key_checking=False\n",
        );
        assert_eq!((jump.port, jump.accept_new_host_key), (Some(8), Some(true)));
        assert!(matches!(&jump.via.unwrap()[..], [Via::Ssh(gate)] if gate.address == "gate"));
        assert_eq!(host("h ansible_connection=local\n"), Host::Local);
        assert_eq!(ssh("h ansible_become=yes ansible_become_method=sudo ansible_python_interpreter=/x\n").address, "h");
    }

    #[test]
    fn what_cannot_be_done_makes_the_host_unusable_and_says_why() {
        for (variables, says) in [
            ("ansible_connection=winrm", "`winrm`"),
            ("ansible_become=true ansible_become_method=su", "`su`"),
            ("ansible_port=0", "TCP port"),
            ("ansible_port=http", "TCP port"),
            ("ansible_user=\"{{ x | upper }}\"", "ansible_user: only {{ NAME }}"),
            ("ansible_user=\"{{ x }}\"", "does not have"),
            ("ansible_password=\"['a']\"", "a list"),
            ("ansible_ssh_common_args='-D 1080'", "ansible_ssh_common_args: `-D`"),
            ("ansible_host_key_checking=perhaps", "truth value"),
            ("ansible_private_key=x", "put it into a file"),
        ] {
            let Host::Unusable(why) = host(&format!("h {variables}\n")) else { panic!("{variables}") };
            assert!(why.contains(says), "{variables}: {why}");
        }
    }

    #[test]
    fn labels_are_plain_values_that_speak_of_no_secret() {
        let found = ssh(
            "h zone=a weight=3 ratio=1.5 on=True none=None list=[1] empty= db_password=p API_TOKEN=t ssh_key=k url=https://u:p@h/ plain=https://h/u@v later={{zone}}\n",
        );
        let labels: Vec<String> = found.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["empty=", "on=true", "plain=https://h/u@v", "ratio=1.5", "weight=3", "zone=a"]);
    }

    #[test]
    fn groups_are_roles_by_their_own_names_and_by_legal_ones() {
        let mut tree = Tree::new();
        ini::read("[Web-Servers]\nw1\nw2\n[a-b]\nx\n[a_b]\ny\n[9]\nz\n[top:children]\na-b\nWeb-Servers\n", &mut tree)
            .unwrap();
        tree.settle();
        let (inventory, notes) = inventory(&tree, &Password::default(), &|_| None);
        let of = |role: &str| inventory.roles.get(role).map(|hosts| hosts.join(" ")).unwrap_or_default();
        assert_eq!((of("web_servers"), of("Web-Servers")), ("w1 w2".to_owned(), "w1 w2".to_owned()));
        assert_eq!((of("a_b"), of("a-b"), of("9")), ("y".to_owned(), "x".to_owned(), "z".to_owned()));
        assert_eq!((of("top"), of("all")), ("x w1 w2".to_owned(), "w1 w2 x y z".to_owned()));
        assert_eq!(notes, ["the role `a_b` is the group `a_b`, and not `a-b`"]);
    }

    /// The files were made by the real `ansible-vault`.
    #[test]
    fn what_ansible_vault_has_encrypted_is_opened_with_its_password_and_no_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ansible-vault");
        let password = Password::new(Some(folder.join("password")));
        let tree = load(&folder.join("hosts.yml"), &password).unwrap();
        let (mut inventory, notes) = inventory(&tree, &password, &|_| None);
        let mut of = |name: &str| match inventory.hosts.remove(name).unwrap() {
            Host::Ssh(ssh) => *ssh,
            other => panic!("{other:?}"),
        };
        let (one, two) = (of("w1"), of("w2"));
        assert_eq!(one.user.as_deref(), Some("deploy"));
        assert!(one.labels.is_empty(), "what is encrypted is no label: {:?}", one.labels);
        assert_eq!(
            (here(one.password), here(one.sudo_password)),
            ("pässword of w1".to_owned(), "from the encrypted file".to_owned())
        );
        assert_eq!(here(two.password), "of a named vault");
        assert!(notes.is_empty(), "nothing of it is plain text: {notes:?}");
        let wrong = Password::new(Some(folder.join("hosts.yml")));
        assert!(load(&folder.join("hosts.yml"), &wrong).unwrap_err().message.contains("does not fit"));
        let none = Password::new(Some(folder.join("nothing")));
        assert!(load(&folder.join("hosts.yml"), &none).unwrap_err().message.contains("the password of ansible-vault"));
    }
}
