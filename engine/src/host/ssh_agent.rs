//! The keys of an SSH agent (draft-ietf-sshm-ssh-agent), and what it is asked to sign.

use std::path::{Path, PathBuf};

use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::{Certificate, HashAlg, PublicKey};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::shown;
use super::limits;
use super::ssh_key_file::{self, Public};

/// An agent that answers.
pub(super) struct Agent(AgentClient<UnixStream>);

/// What of an agent can be offered to a server.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) key: PublicKey,
    pub(super) certificate: Option<Certificate>,
    /// What the agent calls it.
    pub(super) comment: String,
    /// By what it is known to the agent.
    held: AgentIdentity,
}

/// Connects and asks for the keys: those that are named in files, in the order of the files; certificates first. Every reason is in
/// words that follow "agent".
pub(super) async fn identities(
    socket: Option<&Path>,
    only: &[PathBuf],
    binding: Option<&AgentSessionBinding>,
) -> Result<(Agent, Vec<Identity>), String> {
    let socket = match socket {
        Some(socket) => socket.to_owned(),
        None => std::env::var_os("SSH_AUTH_SOCK")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
            .ok_or("none is running: SSH_AUTH_SOCK is not set, and no socket is given")?,
    };
    let at = socket.display();
    let mut named = Vec::new();
    for path in only {
        named.push(ssh_key_file::public(path).await.map_err(|why| format!("{} {why}", path.display()))?);
    }
    let asking = async {
        let stream = UnixStream::connect(&socket).await.map_err(|error| format!("no answer at {at}: {error}"))?;
        let mut agent = AgentClient::connect(stream);
        if let Some(binding) = binding {
            // So that keys that are bound to destinations can be used. Agents that know no such keys refuse it.
            drop(agent.bind_session(binding, false).await);
        }
        let held = agent.request_identities().await.map_err(|error| format!("{at} is not understood: {error}"))?;
        Ok((agent, held))
    };
    let (agent, held) = timeout(limits::AGENT, asking)
        .await
        .unwrap_or_else(|_| Err(format!("{at} did not answer within {} s", limits::AGENT.as_secs())))?;
    if held.is_empty() {
        return Err(format!("{at} has no keys, or is locked"));
    }
    let chosen = choose(held, &named);
    if chosen.is_empty() {
        return Err(format!("{at} has none of the keys that are named"));
    }
    Ok((Agent(agent), chosen))
}

/// What is offered, and in which order.
fn choose(held: Vec<AgentIdentity>, named: &[Public]) -> Vec<Identity> {
    let mut all: Vec<Identity> = held.into_iter().map(Identity::from).collect();
    // A certificate that lies in a file, for a key that the agent has.
    for public in named {
        let Public::Certificate(certificate) = public else { continue };
        let plain = all.iter().find(|one| one.certificate.is_none() && one.key.key_data() == certificate.public_key());
        if let Some(plain) = plain.filter(|_| !all.iter().any(|one| one.certificate.as_ref() == Some(certificate))) {
            all.push(Identity { certificate: Some((**certificate).clone()), ..plain.clone() });
        }
    }
    let place = |one: &Identity| named.iter().position(|public| public.key() == one.key.key_data());
    if !named.is_empty() {
        all.retain(|one| place(one).is_some());
    }
    all.sort_by_key(|one| (place(one), one.certificate.is_none()));
    all
}

impl From<AgentIdentity> for Identity {
    fn from(held: AgentIdentity) -> Self {
        let certificate = match &held {
            AgentIdentity::PublicKey { .. } => None,
            AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
        };
        Self { key: held.public_key().into_owned(), certificate, comment: shown(held.comment().as_bytes()), held }
    }
}

impl Agent {
    /// The data with its signature after it.
    pub(super) async fn sign(
        &mut self,
        by: &Identity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        match timeout(limits::AGENT_SIGN, self.0.sign_request(&by.held, hash, data)).await {
            Ok(Ok(signed)) => Ok(signed),
            Ok(Err(russh::keys::Error::AgentFailure)) => Err("the agent does not sign with it".into()),
            Ok(Err(error)) => Err(format!("the agent does not sign with it: {error}")),
            Err(_) => Err(format!("the agent did not sign within {} s", limits::AGENT_SIGN.as_secs())),
        }
    }
}
