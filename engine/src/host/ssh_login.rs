//! Logging in: the ways that are given, in the order given, and an account of what came of each.
//!
//! A server may want several methods in a row (`AuthenticationMethods` of sshd_config(5)): what it accepts is used up, and the ways
//! that it did not take before are tried again. So nothing is asked beforehand: what the server takes, it says when it refuses.
//!
//! Invariant: a key that a server has judged is not offered to it again.

use std::collections::HashSet;
use std::path::Path;

use russh::client::{AuthResult, Handle};
use russh::keys::{Certificate, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use store::Secret;
use tokio::time::timeout;

use super::error::{Advice, ErrorKind, shown};
use super::host_certificate::{now_s, valid_at};
use super::host_key::{Client, Told};
use super::known_hosts::fingerprint;
use super::ssh_agent::{self, Agent, Identity};
use super::ssh_questions::{Answers, Talked, talk};
use super::ssh_sign::{Hand, Unsigned};
use super::{Auth, SshServer, limits, ssh_key_file};

/// What a try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    In,
    /// Accepted, but the server wants another method too.
    More,
    /// Refused, or it cannot be used.
    Done,
    /// The server does not take this method, now.
    Later,
    /// There is no connection any more.
    Over,
}

/// One login.
struct Login<'a> {
    handle: &'a mut Handle<Client>,
    told: &'a Told,
    user: &'a str,
    /// What the server takes, once it has said so.
    wanted: Option<MethodSet>,
    /// What was tried, and what came of it.
    tried: Vec<String>,
    /// What was accepted, in its order.
    by: Vec<String>,
    /// How often the server refused.
    refusals: usize,
    accepted: bool,
    hung_up: bool,
    /// Keys and certificates that the server has judged.
    judged: HashSet<Vec<u8>>,
}

/// Logs in, and says by which way; or says why not.
pub(super) async fn log_in(handle: &mut Handle<Client>, told: &Told, server: &SshServer) -> Result<String, ErrorKind> {
    let mut login = Login {
        handle,
        told,
        user: &server.user,
        wanted: None,
        tried: Vec::new(),
        by: Vec::new(),
        refusals: 0,
        accepted: false,
        hung_up: false,
        judged: HashSet::new(),
    };
    let ways = server.auth.get(..limits::LOGIN_WAYS).unwrap_or(&server.auth);
    if ways.is_empty() {
        // It says what it would take.
        let said = login.handle.authenticate_none(login.user).await;
        if login.settle(None, "nothing", said).await == Outcome::In {
            return Ok(login.by.join(", then "));
        }
        login.tried.clear();
    }
    let mut done = vec![false; ways.len()];
    'again: loop {
        for at in 0..ways.len() {
            if done[at] {
                continue;
            }
            let after = done[at + 1..].iter().filter(|done| !**done).count();
            match login.by(&ways[at], after).await {
                Outcome::In => return Ok(login.by.join(", then ")),
                Outcome::Over => break 'again,
                Outcome::Done => done[at] = true,
                Outcome::Later => {}
                Outcome::More => {
                    // An agent has other keys.
                    done[at] = !matches!(ways[at], Auth::Agent { .. });
                    continue 'again;
                }
            }
        }
        break;
    }
    let left = ways.iter().zip(done).filter(|(_, done)| !done).map(|(way, _)| way);
    Err(login.failed(ways, left))
}

impl Login<'_> {
    async fn by(&mut self, way: &Auth, after: usize) -> Outcome {
        match way {
            Auth::Password(password) => self.by_password(password).await,
            Auth::Key { path, passphrase, certificate } => {
                self.by_key(path, passphrase.as_ref(), certificate.as_deref()).await
            }
            Auth::Agent { socket, only } => {
                if !self.takes(MethodKind::PublicKey) {
                    return Outcome::Later;
                }
                let binding = self.handle.agent_session_binding().cloned();
                match ssh_agent::identities(socket.as_deref(), only, binding.as_ref()).await {
                    Ok((agent, identities)) => self.by_agent(agent, &identities, after).await,
                    Err(why) => self.unusable(format!("agent ({why})")),
                }
            }
            Auth::Interactive(answers) if self.takes(MethodKind::KeyboardInteractive) => {
                self.by_talk("keyboard-interactive", Answers::Given(answers)).await
            }
            Auth::Interactive(_) => Outcome::Later,
        }
    }

    /// Whether a method is worth a try.
    fn takes(&self, method: MethodKind) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&method))
    }

    fn unusable(&mut self, what: String) -> Outcome {
        self.tried.push(what);
        Outcome::Done
    }

    /// Takes note of what the server says to a try.
    async fn settle(
        &mut self,
        method: Option<MethodKind>,
        name: &str,
        said: Result<AuthResult, russh::Error>,
    ) -> Outcome {
        let (remaining, partial) = match said {
            Ok(AuthResult::Success) => {
                self.by.push(name.to_owned());
                return Outcome::In;
            }
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => (remaining_methods, partial_success),
            Err(error) => {
                self.tried.push(format!("{name} (the connection broke: {error})"));
                return Outcome::Over;
            }
        };
        if self.handle.is_closed() {
            // It is said a moment later than seen.
            let farewell = timeout(limits::FAREWELL, self.told.farewell()).await.unwrap_or_default();
            self.tried.push(format!("{name} (the server hung up: {farewell})"));
            self.hung_up = true;
            return Outcome::Over;
        }
        let takes_it = method.is_none_or(|method| remaining.contains(&method));
        self.wanted = Some(remaining);
        if partial {
            self.tried.push(format!("{name} (accepted)"));
            self.by.push(name.to_owned());
            self.accepted = true;
            Outcome::More
        } else if takes_it {
            self.tried.push(format!("{name} (refused)"));
            self.refusals += 1;
            Outcome::Done
        } else {
            Outcome::Later
        }
    }

    async fn by_password(&mut self, password: &Secret) -> Outcome {
        if self.takes(MethodKind::Password) {
            let said = self.handle.authenticate_password(self.user, password.expose()).await;
            let outcome = self.settle(Some(MethodKind::Password), "password", said).await;
            if outcome != Outcome::Later {
                return outcome;
            }
        }
        if !self.takes(MethodKind::KeyboardInteractive) {
            return Outcome::Later;
        }
        self.by_talk("password, by keyboard-interactive", Answers::Password(password)).await
    }

    async fn by_talk(&mut self, name: &str, answers: Answers<'_>) -> Outcome {
        let (said, name) = match talk(self.handle, self.user, answers).await {
            Ok(Talked { result, unanswered: None }) => (Ok(result), name.to_owned()),
            Ok(Talked { result, unanswered: Some(question) }) => {
                (Ok(result), format!("{name} without an answer to {question:?}"))
            }
            Err(error) => (Err(error), name.to_owned()),
        };
        match said.transpose() {
            Some(said) => self.settle(Some(MethodKind::KeyboardInteractive), &name, said).await,
            None => {
                // Nothing but the end of the connection ends the conversation.
                self.tried.push(format!("{name} (more than {} rounds of questions)", limits::QUESTION_ROUNDS));
                Outcome::Over
            }
        }
    }

    /// By a certificate for a key, where there is one, and the key itself.
    async fn by_key(&mut self, path: &Path, passphrase: Option<&Secret>, certificate: Option<&Path>) -> Outcome {
        if !self.takes(MethodKind::PublicKey) {
            return Outcome::Later;
        }
        let name = format!("key {}", path.display());
        let key = match ssh_key_file::private(path, passphrase).await {
            Ok(key) => key,
            Err(why) => return self.unusable(format!("{name} ({why})")),
        };
        match ssh_key_file::certificate(certificate, path, key.public_key()).await {
            None => {}
            Some((file, Ok(certificate))) => {
                let name = format!("certificate {}", file.display());
                let outcome = self.offer(&name, key.public_key(), Some(&certificate), Hand::File(&key)).await;
                if outcome != Outcome::Done {
                    return outcome;
                }
            }
            Some((file, Err(why))) => self.tried.push(format!("certificate {} ({why})", file.display())),
        }
        self.offer(&name, key.public_key(), None, Hand::File(&key)).await
    }

    /// By the keys of an agent, as many as leave a try to each way that comes `after`.
    async fn by_agent(&mut self, mut agent: Agent, identities: &[Identity], after: usize) -> Outcome {
        let mut left = limits::LOGIN_TRIES.saturating_sub(self.refusals + after).max(1);
        for (at, identity) in identities.iter().enumerate() {
            if left == 0 {
                let more = identities.len() - at;
                self.tried.push(format!(
                    "{more} more keys of the agent (not offered: servers hang up after {} tries)",
                    limits::LOGIN_TRIES
                ));
                break;
            }
            let kind = if identity.certificate.is_some() { "certificate" } else { "key" };
            let print = fingerprint(&identity.key);
            let name = format!("agent's {kind} {:?} {print}", identity.comment);
            let refusals = self.refusals;
            let hand = Hand::Agent(&mut agent, identity);
            let outcome = self.offer(&name, &identity.key, identity.certificate.as_ref(), hand).await;
            if outcome != Outcome::Done {
                return outcome;
            }
            left -= self.refusals - refusals;
        }
        Outcome::Done
    }

    /// Offers a key or a certificate for it, unless it was judged before.
    async fn offer(
        &mut self,
        name: &str,
        key: &PublicKey,
        certificate: Option<&Certificate>,
        mut hand: Hand<'_>,
    ) -> Outcome {
        let (Ok(mark), Ok(plain)) = (certificate.map_or_else(|| key.to_bytes(), Certificate::to_bytes), key.to_bytes())
        else {
            return self.unusable(format!("{name} (cannot be written)"));
        };
        if self.judged.contains(&mark) {
            return self.unusable(format!("{name} (judged already)"));
        }
        let hash = match self.hash(key).await {
            Ok(hash) => hash,
            Err(why) => return self.unusable(format!("{name} ({why})")),
        };
        let said = match certificate {
            None => self.handle.authenticate_publickey_with(self.user, key.clone(), hash, &mut hand).await,
            Some(certificate) => {
                self.handle.authenticate_certificate_with(self.user, certificate.clone(), hash, &mut hand).await
            }
        };
        let said = match said {
            Ok(said) => Ok(said),
            Err(Unsigned::Gone) => Err(russh::Error::SendError),
            Err(Unsigned::Why(why)) => {
                self.judged.insert(mark);
                return self.unusable(format!("{name} ({why})"));
            }
        };
        let outcome = self.settle(Some(MethodKind::PublicKey), name, said).await;
        match outcome {
            Outcome::Done => {
                self.judged.insert(mark);
                if let (Some(certificate), Some(last)) = (certificate, self.tried.last_mut()) {
                    *last += &doubts(certificate, self.user);
                }
            }
            Outcome::More => self.judged.extend([mark, plain]),
            Outcome::In | Outcome::Later | Outcome::Over => {}
        }
        outcome
    }

    /// How an RSA key signs: by SHA-2 only. A server that knows nothing but ssh-rsa (SHA-1) is refused, one that says nothing gets
    /// SHA-256. Other keys have no choice.
    async fn hash(&mut self, key: &PublicKey) -> Result<Option<HashAlg>, String> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => Ok(Some(hash)),
            Ok(None) => Ok(Some(HashAlg::Sha256)),
            Ok(Some(None)) => Err("the server takes RSA keys with SHA-1 only".into()),
            Err(error) => Err(format!("the connection broke: {error}")),
        }
    }

    fn failed<'a>(mut self, ways: &[Auth], left: impl Iterator<Item = &'a Auth>) -> ErrorKind {
        let offered: Vec<String> =
            self.wanted.iter().flat_map(|wanted| wanted.iter()).map(|method| <&str>::from(method).to_owned()).collect();
        let advice = advice(ways, &offered, self.accepted, self.hung_up);
        if !self.hung_up {
            self.tried.extend(left.map(|way| format!("{} (the server does not take it)", name(way))));
        }
        ErrorKind::Auth { tried: self.tried, offered, advice }
    }
}

/// A way as it is called where it was not tried.
fn name(way: &Auth) -> String {
    match way {
        Auth::Password(_) => "password".into(),
        Auth::Key { path, .. } => format!("key {}", path.display()),
        Auth::Agent { .. } => "agent".into(),
        Auth::Interactive(_) => "keyboard-interactive".into(),
    }
}

/// What can be done about a login that was refused.
fn advice(ways: &[Auth], offered: &[String], accepted: bool, hung_up: bool) -> Advice {
    let takes = |method: &str| offered.iter().any(|one| one == method);
    let fits = |way: &Auth| match way {
        Auth::Password(_) => takes("password") || takes("keyboard-interactive"),
        Auth::Key { .. } | Auth::Agent { .. } => takes("publickey"),
        Auth::Interactive(_) => takes("keyboard-interactive"),
    };
    if ways.is_empty() {
        Advice::GiveOne
    } else if hung_up {
        Advice::GiveFewer
    } else if accepted {
        Advice::GiveOneMore
    } else if !offered.is_empty() && !ways.iter().any(fits) {
        Advice::GiveAnother
    } else {
        Advice::Check
    }
}

/// What may be the reason why a certificate was refused.
fn doubts(certificate: &Certificate, user: &str) -> String {
    let mut doubts = String::new();
    if let Err(why) = valid_at(certificate, now_s()) {
        doubts += &format!(" – it {why}");
    }
    let principals = certificate.valid_principals();
    if !principals.is_empty() && !principals.iter().any(|one| one == user) {
        doubts += &format!(" – it is for {}", shown(principals.join(", ").as_bytes()));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_follows_from_what_the_server_takes() {
        let key = Auth::Key { path: "/k".into(), passphrase: None, certificate: None };
        let password = Auth::Password("p".into());
        let say = |ways: &[&Auth], offered: &[&str], accepted, hung_up| {
            let offered: Vec<String> = offered.iter().map(|one| (*one).to_owned()).collect();
            let ways: Vec<Auth> = ways.iter().map(|way| (*way).clone()).collect();
            advice(&ways, &offered, accepted, hung_up)
        };
        assert_eq!(say(&[], &["publickey"], false, false), Advice::GiveOne);
        assert_eq!(say(&[&password], &["publickey"], false, false), Advice::GiveAnother);
        assert_eq!(say(&[&password], &["keyboard-interactive"], false, false), Advice::Check);
        assert_eq!(say(&[&key], &["password", "keyboard-interactive"], true, false), Advice::GiveOneMore);
        assert_eq!(say(&[&key, &password], &[], false, true), Advice::GiveFewer);
        assert_eq!(say(&[&key, &password], &[], false, false), Advice::Check);
    }
}
