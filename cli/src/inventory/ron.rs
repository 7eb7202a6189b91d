//! The inventory as RON.
//!
//! ```ron
//! Inventory(
//!     hosts: {
//!         "reg1": Ssh(address: "192.0.2.10", user: "ubuntu", password: Env("REG1_PASSWORD"), via: ["bastion"]),
//!         "bastion": Ssh(address: "198.51.100.1", agent: true),
//!         "here": Local,
//!     },
//!     roles: { "registry": ["reg1"] },
//!     inputs: { "port": Value("5001"), "proxy.http": File("/run/secrets/proxy") },
//! )
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use ron::extensions::Extensions;
use ron::value::RawValue;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::model;
use crate::report::Problem;
use crate::secret_source::SecretSource;

/// Reads an inventory; `name` is how messages call the file.
pub fn parse(name: &str, text: &str) -> Result<model::Inventory, Problem> {
    let written: Inventory = options().from_str(text).map_err(|error| {
        let (line, column) = (error.span.start.line, error.span.start.col);
        let shown = blanked(text.lines().nth(line.saturating_sub(1)).unwrap_or(""));
        let gutter = " ".repeat(line.to_string().len());
        let caret = " ".repeat(column.saturating_sub(1));
        let message = format!("{}\n{gutter}--> {name}:{line}:{column}\n{gutter} |\n{line} | {shown}\n{gutter} | {caret}^", error.code);
        Problem::usage(message).hint("an inventory is Inventory(hosts: { \"name\": Ssh(address: \"…\", user: \"…\") | Local }, roles: { … }, inputs: { … })")
    })?;
    Ok(written.into())
}

fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES)
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    #[serde(default)]
    hosts: Unique<Host>,
    #[serde(default)]
    roles: Unique<Vec<String>>,
    #[serde(default)]
    inputs: Unique<Input>,
}

impl From<Inventory> for model::Inventory {
    fn from(written: Inventory) -> model::Inventory {
        model::Inventory {
            hosts: written.hosts.0.into_iter().map(|(name, host)| (name, host.into())).collect(),
            roles: written.roles.0,
            inputs: written.inputs.0.into_iter().map(|(name, input)| (name, input.into())).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum Host {
    Local,
    Ssh(Ssh),
}

impl From<Host> for model::Host {
    fn from(written: Host) -> model::Host {
        match written {
            Host::Local => model::Host::Local,
            Host::Ssh(ssh) => model::Host::Ssh(Box::new(ssh.into())),
        }
    }
}

/// Names of fields and what they are for: see [`model::Ssh`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ssh {
    address: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<SecretSource>,
    /// The first key, with the two fields below it.
    #[serde(default)]
    key: Option<PathBuf>,
    #[serde(default)]
    passphrase: Option<SecretSource>,
    #[serde(default)]
    certificate: Option<PathBuf>,
    #[serde(default)]
    keys: Vec<Key>,
    #[serde(default)]
    agent: Agent,
    #[serde(default)]
    interactive: Vec<Answer>,
    #[serde(default)]
    sudo_password: Option<SecretSource>,
    #[serde(default)]
    host_key: Option<String>,
    #[serde(default)]
    known_as: Option<String>,
    #[serde(default)]
    known_hosts: Option<Vec<PathBuf>>,
    #[serde(default)]
    via: Option<Vec<Via>>,
    #[serde(default)]
    ssh_config: SshConfig,
    #[serde(default)]
    labels: Unique<String>,
}

impl From<Ssh> for model::Ssh {
    fn from(written: Ssh) -> model::Ssh {
        let Ssh { passphrase, certificate, .. } = written;
        let first = written.key.map(|path| model::Key { path, passphrase, certificate });
        model::Ssh {
            accept_new_host_key: None,
            address: written.address,
            port: written.port,
            user: written.user,
            keys: first.into_iter().chain(written.keys.into_iter().map(|key| key.0)).collect(),
            agent: written.agent.0,
            password: written.password,
            interactive: written.interactive.into_iter().map(Into::into).collect(),
            sudo_password: written.sudo_password,
            host_key: written.host_key,
            known_as: written.known_as,
            known_hosts: written.known_hosts,
            via: written.via.map(|via| via.into_iter().map(|via| via.0).collect()),
            ssh_config: written.ssh_config.0,
            labels: written.labels.0,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    question: String,
    answer: SecretSource,
}

impl From<Answer> for model::Answer {
    fn from(Answer { question, answer }: Answer) -> model::Answer {
        model::Answer { question, answer }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum Input {
    Value(String),
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
    Prompt,
    Sealed(String),
}

impl From<Input> for model::Input {
    fn from(written: Input) -> model::Input {
        model::Input::From(match written {
            Input::Value(text) => return model::Input::Value(text),
            Input::Env(name) => SecretSource::Env(name),
            Input::File(path) => SecretSource::File(path),
            Input::Command(argv) => SecretSource::Command(argv),
            Input::Prompt => SecretSource::Prompt,
            Input::Sealed(name) => SecretSource::Sealed(name),
        })
    }
}

/// `"path"`, or `(path: "…", passphrase: …, certificate: "…")`.
struct Key(model::Key);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            path: PathBuf,
            #[serde(default)]
            passphrase: Option<SecretSource>,
            #[serde(default)]
            certificate: Option<PathBuf>,
        }
        let written: Either<Fields> = either(deserializer)?;
        Ok(Key(match written {
            Either::Text(path) => model::Key { path: path.into(), passphrase: None, certificate: None },
            Either::Other(Fields { path, passphrase, certificate }) => model::Key { path, passphrase, certificate },
        }))
    }
}

/// `true`, `false`, `"socket"`, or `(socket: "…", only: ["…"])`.
#[derive(Default)]
struct Agent(model::Agent);

impl<'de> Deserialize<'de> for Agent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Agent, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(default)]
            socket: Option<PathBuf>,
            #[serde(default)]
            only: Vec<PathBuf>,
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Agent(match raw.get_ron().trim() {
            "true" => model::Agent::Yes { socket: None, only: Vec::new() },
            "false" => model::Agent::No,
            _ => match told_apart(&raw)? {
                Either::Text(socket) => model::Agent::Yes { socket: Some(socket.into()), only: Vec::new() },
                Either::Other(Fields { socket, only }) => model::Agent::Yes { socket, only },
            },
        }))
    }
}

/// `"name"`, `Ssh(…)`, or `Command("…")`.
struct Via(model::Via);

impl<'de> Deserialize<'de> for Via {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Via, D::Error> {
        #[derive(Deserialize)]
        enum Named {
            Ssh(Ssh),
            Command(String),
        }
        Ok(Via(match either(deserializer)? {
            Either::Text(name) => model::Via::Name(name),
            Either::Other(Named::Ssh(ssh)) => model::Via::Ssh(Box::new(ssh.into())),
            Either::Other(Named::Command(text)) => model::Via::Command(text),
        }))
    }
}

/// `true`, `false`, or `"file"`.
#[derive(Default)]
struct SshConfig(model::SshConfig);

impl<'de> Deserialize<'de> for SshConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SshConfig, D::Error> {
        Ok(SshConfig(match either(deserializer)? {
            Either::Text(file) => model::SshConfig::File(file.into()),
            Either::Other(true) => model::SshConfig::Usual,
            Either::Other(false) => model::SshConfig::No,
        }))
    }
}

/// A text, or something else.
enum Either<T> {
    Text(String),
    Other(T),
}

/// serde's own way to tell variants apart forgets their names in RON, so this looks at the text first.
fn either<'de, D: Deserializer<'de>, T: for<'a> Deserialize<'a>>(deserializer: D) -> Result<Either<T>, D::Error> {
    told_apart(&Box::<RawValue>::deserialize(deserializer)?)
}

fn told_apart<E: serde::de::Error, T: for<'a> Deserialize<'a>>(raw: &RawValue) -> Result<Either<T>, E> {
    let text = raw.get_ron().trim();
    let is_text = ["\"", "r\"", "r#"].iter().any(|start| text.starts_with(start));
    let read = match is_text {
        true => options().from_str(text).map(Either::Text),
        false => options().from_str(text).map(Either::Other),
    };
    read.map_err(|error| E::custom(error.code))
}

/// A map whose keys are unique: ron itself lets the last of two win.
struct Unique<T>(BTreeMap<String, T>);

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
    use super::model::{Agent, Host, Input, Key, Ssh, SshConfig, Via};
    use super::*;

    fn says(text: &str) -> String {
        parse("inv.ron", text).unwrap_err().message
    }

    fn ssh(fields: &str) -> Ssh {
        let inventory = parse("inv.ron", &format!("(hosts: {{ \"a\": Ssh(address: \"x\", {fields}) }})")).unwrap();
        match inventory.hosts.into_values().next() {
            Some(Host::Ssh(ssh)) => *ssh,
            other => panic!("{other:?}"),
        }
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
        assert_eq!(inventory.hosts.len(), 2);
        assert_eq!(inventory.hosts["here"], Host::Local);
        let Host::Ssh(ssh) = &inventory.hosts["a"] else { panic!("SSH") };
        assert_eq!((ssh.labels["zone"].as_str(), ssh.port), ("a", Some(2222)));
        assert_eq!(inventory.roles["registry"], ["a"]);
        assert_eq!(inventory.inputs["port"], Input::Value("5001".to_owned()));
        assert_eq!(inventory.inputs["proxy.http"], Input::From(SecretSource::File("/run/p".into())));
    }

    #[test]
    fn keys_are_one_or_several() {
        let key = |path: &str| Key { path: path.into(), passphrase: None, certificate: None };
        assert_eq!(ssh(r#"key: "a""#).keys, [key("a")]);
        let of_three =
            ssh(r#"key: "a", passphrase: Env("P"), certificate: "a-cert.pub", keys: ["b", (path: "c")]"#).keys;
        let first =
            Key { passphrase: Some(SecretSource::Env("P".into())), certificate: Some("a-cert.pub".into()), ..key("a") };
        assert_eq!(of_three, [first, key("b"), key("c")]);
    }

    #[test]
    fn an_agent_is_a_word_a_socket_or_both_with_keys() {
        let yes = |socket: Option<&str>, only: &[&str]| Agent::Yes {
            socket: socket.map(Into::into),
            only: only.iter().map(Into::into).collect(),
        };
        assert_eq!(ssh("").agent, Agent::Usual);
        assert_eq!(ssh("agent: false").agent, Agent::No);
        assert_eq!(ssh("agent: true").agent, yes(None, &[]));
        assert_eq!(ssh(r#"agent: "/run/a""#).agent, yes(Some("/run/a"), &[]));
        assert_eq!(ssh(r#"agent: (only: ["a.pub"])"#).agent, yes(None, &["a.pub"]));
        assert_eq!(ssh(r#"agent: (socket: "/run/a", only: ["a.pub"])"#).agent, yes(Some("/run/a"), &["a.pub"]));
    }

    #[test]
    fn the_way_is_names_hosts_and_commands() {
        let via = ssh(r#"via: [Command("nc %h %p"), "ops@jump:2222", Ssh(address: "y", user: "u", agent: false)]"#).via;
        let hop = Ssh { address: "y".into(), user: Some("u".into()), agent: Agent::No, ..Ssh::default() };
        let expected = [Via::Command("nc %h %p".into()), Via::Name("ops@jump:2222".into()), Via::Ssh(Box::new(hop))];
        assert_eq!(via.unwrap(), expected);
        assert_eq!(ssh("via: []").via, Some(Vec::new()), "nothing between, whatever ssh_config says");
        assert_eq!(ssh("").via, None);
    }

    #[test]
    fn ssh_config_is_a_word_or_a_file() {
        assert_eq!(ssh("").ssh_config, SshConfig::Usual);
        assert_eq!(ssh("ssh_config: false").ssh_config, SshConfig::No);
        assert_eq!(ssh(r#"ssh_config: "lab.conf""#).ssh_config, SshConfig::File("lab.conf".into()));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        assert!(says(r#"(hosts: { "a": Local, "a": Local })"#).contains("`a` stands here twice"));
    }

    #[test]
    fn an_unknown_field_is_shown_with_its_line() {
        let message = says("(\n  hosts: { \"a\": Ssh(address: \"x\", passwd: Env(\"P\")) },\n)");
        assert!(message.contains("passwd") && message.contains("inv.ron:2:"), "{message}");
        let message = says("(\n  hosts: { \"a\": Ssh(address: \"x\", via: [Ssh(address: \"y\", passwd: 1)]) },\n)");
        assert!(message.contains("passwd") && message.contains("inv.ron:2:"), "{message}");
    }

    #[test]
    fn a_secret_written_into_the_inventory_is_refused() {
        for field in [
            r#"password: "hunter22""#,
            r#"via: [Ssh(address: "y", password: "hunter22")]"#,
            r#"interactive: [(question: "OTP", answer: "hunter22")]"#,
            r#"keys: [(path: "k", passphrase: "hunter22")]"#,
        ] {
            let message = says(&format!("(hosts: {{ \"a\": Ssh(address: \"x\", {field}) }})"));
            assert!(message.contains("inv.ron:1:") && !message.contains("hunter22"), "{message}");
        }
    }
}
