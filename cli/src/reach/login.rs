//! The ways to log in, in the order in which they are tried: an agent's keys, keys of files, passwords, answers.
//!
//! What an inventory names is tried and nothing else of its kind; where it names nothing, what ssh would try.

use std::path::{Path, PathBuf};

use dsl::value::SecretRef;
use engine::operation::{AnswerRecord, AuthRecord};

use super::{Reaching, Resolves, absolute, home};
use crate::inventory::{Agent, Ssh};
use crate::report::Problem;
use crate::ssh_config::{AgentSetting, Expanded};

impl Reaching {
    /// `asked` is a password that was asked for at the terminal: it comes after what ssh would try.
    pub(super) fn auth(
        &mut self,
        name: &str,
        ssh: &Ssh,
        found: Option<&Expanded>,
        asked: Option<&SecretRef>,
    ) -> Result<Vec<AuthRecord>, Problem> {
        let mut auth = Vec::new();
        if let Agent::Yes { socket, only } = &ssh.agent {
            let socket = socket.as_deref().map(absolute).transpose()?;
            let only = only.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
            auth.push(AuthRecord::Agent { socket, only });
        }
        for (index, key) in ssh.keys.iter().enumerate() {
            let what = if index == 0 { "passphrase".to_owned() } else { format!("passphrase.{}", index + 1) };
            let passphrase = self.resolve(name, &what, key.passphrase.as_ref())?;
            let certificate = key.certificate.as_deref().map(absolute).transpose()?;
            auth.push(AuthRecord::Key { path: absolute(&key.path)?, passphrase, certificate });
        }
        let password = self.resolve(name, "password", ssh.password.as_ref())?;
        let answers = self.answers(name, ssh)?;
        if auth.is_empty() {
            let agent = ssh.agent != Agent::No;
            let only_named = password.is_some() || !answers.is_empty();
            auth.extend(as_ssh_would(found, agent, only_named)?);
        }
        auth.extend(password.or(asked.cloned()).map(AuthRecord::Password));
        if !answers.is_empty() {
            auth.push(AuthRecord::Interactive(answers));
        }
        if let Some(preferred) = found.and_then(|found| found.preferred.as_ref()) {
            auth.sort_by_key(|way| rank(way, preferred));
        }
        let logs_in = self.resolves != Resolves::OfTheWay || self.on_the_way;
        if auth.is_empty() && logs_in {
            return Err(Problem::usage(format!(
                "there is no way to log in to `{name}`: no agent, no key in ~/.ssh, no password"
            ))
            .hint("use --ask-password, or an inventory with `password: Env(\"NAME\")` or `key: \"~/.ssh/…\"`"));
        }
        Ok(auth)
    }

    fn answers(&mut self, name: &str, ssh: &Ssh) -> Result<Vec<AnswerRecord>, Problem> {
        let mut answers = Vec::new();
        for (index, one) in ssh.interactive.iter().enumerate() {
            let answer = self.resolve(name, &format!("answer.{}", index + 1), Some(&one.answer))?;
            answers.extend(answer.map(|answer| AnswerRecord { question: one.question.clone(), answer }));
        }
        Ok(answers)
    }
}

/// The keys that ssh would try: those that the configuration names, else – unless there is another way – the usual ones; before them those
/// of an agent.
fn as_ssh_would(found: Option<&Expanded>, agent: bool, only_named: bool) -> Result<Vec<AuthRecord>, Problem> {
    if found.is_some_and(|found| !found.pubkey) {
        return Ok(Vec::new());
    }
    let named = found.and_then(|found| found.identity_files.as_ref());
    let files = match named {
        Some(files) => files.clone(),
        None if only_named => return Ok(Vec::new()),
        None => usual_keys(),
    };
    let mut auth = Vec::new();
    if agent {
        let held: Vec<&PathBuf> = files.iter().filter(|file| has_public_half(file)).collect();
        auth.extend(agents(found, named.is_some(), &held)?);
    }
    let certificates = found.map(|found| found.certificate_files.as_slice()).unwrap_or_default();
    for file in files.iter().filter(|file| file.extension().is_none_or(|extension| extension != "pub")) {
        let path = absolute(file)?;
        let key = |certificate| AuthRecord::Key { path: path.clone(), passphrase: None, certificate };
        match certificates {
            // That beside the key is found by itself.
            [] => auth.push(key(None)),
            // Nobody says which certificate is for which key; one for another key is passed over.
            certificates => {
                for certificate in certificates {
                    auth.push(key(Some(absolute(certificate)?)));
                }
            }
        }
    }
    Ok(auth)
}

/// The agent: first the keys that are named, then the others.
fn agents(found: Option<&Expanded>, named: bool, held: &[&PathBuf]) -> Result<Vec<AuthRecord>, Problem> {
    let socket = match found.map(|found| &found.agent) {
        Some(AgentSetting::No) => return Ok(Vec::new()),
        Some(AgentSetting::Socket(path)) => Some(absolute(path)?),
        Some(AgentSetting::Usual) | None if std::env::var_os("SSH_AUTH_SOCK").is_none_or(|path| path.is_empty()) => {
            return Ok(Vec::new());
        }
        Some(AgentSetting::Usual) | None => None,
    };
    let only: Vec<String> = held.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
    let mut agents = Vec::new();
    let only_these = found.is_some_and(|found| found.identities_only);
    if (named || only_these) && !only.is_empty() {
        agents.push(AuthRecord::Agent { socket: socket.clone(), only });
    }
    if !only_these {
        agents.push(AuthRecord::Agent { socket, only: Vec::new() });
    }
    Ok(agents)
}

/// Whether an agent can be asked for the key of this file.
fn has_public_half(file: &Path) -> bool {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    Path::new(&beside).is_file() || file.is_file()
}

/// The private keys that ssh tries, in its order (ssh_config(5), IdentityFile), as far as they are there. Those that need a token to be
/// touched are left out.
fn usual_keys() -> Vec<PathBuf> {
    let Some(home) = home() else { return Vec::new() };
    let keys = ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| home.join(".ssh").join(name));
    keys.into_iter().filter(|path| path.is_file()).collect()
}

/// Where a way stands among those that `PreferredAuthentications` names; behind them where it is not named.
fn rank(way: &AuthRecord, preferred: &[String]) -> usize {
    let methods: &[&str] = match way {
        AuthRecord::Key { .. } | AuthRecord::Agent { .. } => &["publickey"],
        AuthRecord::Password(_) => &["password", "keyboard-interactive"],
        AuthRecord::Interactive(_) => &["keyboard-interactive"],
    };
    preferred.iter().position(|name| methods.contains(&name.as_str())).unwrap_or(preferred.len())
}
