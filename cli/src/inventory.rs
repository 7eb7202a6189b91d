//! The inventory: hosts, who fills which role, and inputs – with every secret by reference.
//!
//! ```ron
//! Inventory(
//!     hosts: {
//!         "reg1": Ssh(address: "192.0.2.10", user: "ubuntu", password: Env("REG1_PASSWORD")),
//!         "here": Local,
//!     },
//!     roles: { "registry": ["reg1"] },
//!     inputs: { "port": Value("5001"), "proxy.http": File("/run/secrets/proxy") },
//! )
//! ```

mod ansible;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::report::Problem;
use crate::secret_source::SecretSource;

/// Bytes of the largest inventory.
const INVENTORY_BYTES: u64 = 4 * 1024 * 1024;

/// An inventory.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Hosts by name.
    #[serde(default)]
    pub hosts: Unique<Host>,
    /// Names of hosts by role.
    #[serde(default)]
    pub roles: Unique<Vec<String>>,
    /// Inputs by name; `proxy.http` for a field of a record.
    #[serde(default)]
    pub inputs: Unique<Input>,
}

/// A host.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Host {
    /// This machine, without SSH and without root.
    Local,
    /// Over SSH.
    Ssh {
        /// Host name or address.
        address: String,
        /// TCP port; 22 where absent.
        #[serde(default)]
        port: Option<u16>,
        /// Login user; the user who runs the command where absent.
        #[serde(default)]
        user: Option<String>,
        /// Password.
        #[serde(default)]
        password: Option<SecretSource>,
        /// Private key; `~/` is the home folder. Where neither key nor password is given, the usual files of `~/.ssh`.
        #[serde(default)]
        key: Option<PathBuf>,
        /// What opens the key.
        #[serde(default)]
        passphrase: Option<SecretSource>,
        /// What sudo is told when it asks; the login password where absent.
        #[serde(default)]
        sudo_password: Option<SecretSource>,
        /// Fingerprint of the host's key, `SHA256:…`; then no other is accepted.
        #[serde(default)]
        host_key: Option<String>,
        /// What workflows may ask of it: `host.labels['zone']`.
        #[serde(default)]
        labels: Unique<String>,
    },
}

/// The value of an input.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Input {
    /// As it stands here.
    Value(String),
    /// An environment variable of the command.
    Env(String),
    /// The text of a file.
    File(PathBuf),
    /// What a program writes.
    Command(Vec<String>),
    /// Whoever sits at the terminal.
    Prompt,
}

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
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Inventory, Problem> {
    let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    options.from_str(text).map_err(|error| {
        let (line, column) = (error.span.start.line, error.span.start.col);
        let shown = blanked(text.lines().nth(line.saturating_sub(1)).unwrap_or(""));
        let gutter = " ".repeat(line.to_string().len());
        let caret = " ".repeat(column.saturating_sub(1));
        let message = format!("{}\n{gutter}--> {name}:{line}:{column}\n{gutter} |\n{line} | {shown}\n{gutter} | {caret}^", error.code);
        Problem::usage(message).hint("an inventory is Inventory(hosts: { \"name\": Ssh(address: \"…\", user: \"…\") | Local }, roles: { … }, inputs: { … })")
    })
}

/// A line without what stands between its quotes: that may be a secret that was written here by mistake (I8).
fn blanked(line: &str) -> String {
    let mut quoted = false;
    line.chars()
        .map(|c| match c {
            '"' => {
                quoted = !quoted;
                c
            }
            _ if quoted => '·',
            _ => c,
        })
        .collect()
}

/// A map whose keys are unique: ron itself lets the last of two win.
#[derive(Debug, PartialEq)]
pub struct Unique<T>(pub BTreeMap<String, T>);

impl<T> Default for Unique<T> {
    fn default() -> Unique<T> {
        Unique(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique<T>, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Unique<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map such as { \"name\": … }")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut all = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if all.contains_key(&key) {
                        return Err(A::Error::custom(format!("`{key}` stands here twice")));
                    }
                    all.insert(key, map.next_value()?);
                }
                Ok(Unique(all))
            }
        }
        deserializer.deserialize_map(Visit(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> String {
        parse("inv.ron", text).unwrap_err().message
    }

    #[test]
    fn hosts_roles_and_inputs_are_read() {
        let inventory = parse(
            "inv.ron",
            r#"Inventory(
                hosts: { "a": Ssh(address: "192.0.2.1", password: Env("P"), port: 2222, labels: { "zone": "a" }), "here": Local },
                roles: { "registry": ["a"] },
                inputs: { "port": Value("5001"), "proxy.http": File("/run/p") },
            )"#,
        )
        .unwrap();
        assert_eq!(inventory.hosts.0.len(), 2);
        let Host::Ssh { labels, .. } = &inventory.hosts.0["a"] else { panic!("SSH") };
        assert_eq!(labels.0["zone"], "a");
        assert_eq!(inventory.roles.0["registry"], ["a"]);
        assert_eq!(inventory.inputs.0["port"], Input::Value("5001".to_owned()));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        assert!(says(r#"(hosts: { "a": Local, "a": Local })"#).contains("`a` stands here twice"));
    }

    #[test]
    fn an_unknown_field_is_shown_with_its_line() {
        let message = says("(\n  hosts: { \"a\": Ssh(address: \"x\", passwd: Env(\"P\")) },\n)");
        assert!(message.contains("passwd") && message.contains("inv.ron:2:"), "{message}");
    }

    #[test]
    fn a_secret_written_into_the_inventory_is_refused() {
        let message = says("(hosts: { \"a\": Ssh(address: \"x\", password: \"hunter22\") })");
        assert!(message.contains("inv.ron:1:") && !message.contains("hunter22"), "{message}");
    }
}
