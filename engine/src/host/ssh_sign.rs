//! Who signs for a login: a key that we have, or an agent that has one.
//!
//! Both by our own hand, for russh signs what a certificate of an RSA key is offered with by SHA-1.

use russh::SendError;
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};

use super::ssh_agent::{Agent, Identity};

/// Who signs.
pub(super) enum Hand<'a> {
    File(&'a PrivateKey),
    Agent(&'a mut Agent, &'a Identity),
}

/// Why nothing was signed.
pub(super) enum Unsigned {
    Gone,
    Why(String),
}

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for Hand<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        match self {
            Self::Agent(agent, identity) => agent.sign(identity, hash, data).await.map_err(Unsigned::Why),
            Self::File(key) => {
                let signature = match key.key_data() {
                    KeypairData::Rsa(rsa) => (rsa, hash).try_sign(&data),
                    _ => key.try_sign(&data),
                };
                let failed = |error: &dyn std::error::Error| Unsigned::Why(format!("it cannot sign: {error}"));
                signature
                    .map_err(|error| failed(&error))?
                    .encode_prefixed(&mut data)
                    .map_err(|error| failed(&error))?;
                Ok(data)
            }
        }
    }
}
