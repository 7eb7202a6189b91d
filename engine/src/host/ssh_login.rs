//! Logging in: the ways that are given, in the order given, and an account of what came of each.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, load_secret_key};
use russh::{MethodKind, MethodSet};
use store::Secret;

use super::error::{ErrorKind, shown};
use super::ssh_connection::Client;
use super::{Auth, SshSpec};

/// What a try came to.
enum Tried {
    In,
    Refused(MethodSet),
    /// It could not be tried at all: why.
    Unusable(String),
}

/// Logs in or says why not.
pub(super) async fn log_in(handle: &mut Handle<Client>, spec: &SshSpec) -> Result<(), ErrorKind> {
    let mut tried = Vec::new();
    let mut offered = MethodSet::empty();
    for auth in &spec.auth {
        let (name, outcome) = match auth {
            Auth::Password(password) => ("password".to_owned(), with_password(handle, &spec.user, password).await),
            Auth::Key { path, passphrase, certificate: _ } => {
                (format!("key {}", path.display()), with_key(handle, &spec.user, path, passphrase.as_ref()).await)
            }
            Auth::Agent { .. } => ("agent".to_owned(), Ok(Tried::Unusable("not built yet".into()))),
            Auth::Interactive(_) => ("keyboard-interactive".to_owned(), Ok(Tried::Unusable("not built yet".into()))),
        };
        match outcome {
            Ok(Tried::In) => return Ok(()),
            Ok(Tried::Refused(methods)) => {
                tried.push(format!("{name} (refused)"));
                offered = methods;
            }
            Ok(Tried::Unusable(why)) => tried.push(format!("{name} ({why})")),
            Err(error) => {
                tried.push(format!("{name} (the connection broke: {error})"));
                break;
            }
        }
        if handle.is_closed() {
            tried.push("then the server hung up, as it does after too many tries".into());
            break;
        }
    }
    let offered = offered.iter().map(|method| <&str>::from(method).to_owned()).collect();
    Err(ErrorKind::Auth { tried, offered })
}

async fn with_password(handle: &mut Handle<Client>, user: &str, password: &Secret) -> Result<Tried, russh::Error> {
    let methods = match handle.authenticate_password(user, password.expose()).await? {
        AuthResult::Success => return Ok(Tried::In),
        AuthResult::Failure { remaining_methods, .. } => remaining_methods,
    };
    // Where `PasswordAuthentication` is off, PAM asks the same question by keyboard-interactive.
    if handle.is_closed() || !methods.contains(&MethodKind::KeyboardInteractive) {
        return Ok(Tried::Refused(methods));
    }
    let mut asked = 0;
    let mut answer = handle.authenticate_keyboard_interactive_start(user, None::<String>).await?;
    loop {
        match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(Tried::In),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                return Ok(Tried::Refused(remaining_methods));
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                // One hidden question is for the password; an empty list wants an empty answer.
                let answers: Vec<String> = match prompts.as_slice() {
                    [] => Vec::new(),
                    [prompt] if !prompt.echo && asked == 0 => {
                        asked += 1;
                        vec![password.expose().to_owned()]
                    }
                    [prompt, ..] => {
                        return Ok(Tried::Unusable(format!("the server asks {:?}", shown(prompt.prompt.as_bytes()))));
                    }
                };
                answer = handle.authenticate_keyboard_interactive_respond(answers).await?;
            }
        }
    }
}

async fn with_key(
    handle: &mut Handle<Client>,
    user: &str,
    path: &Path,
    passphrase: Option<&Secret>,
) -> Result<Tried, russh::Error> {
    let key = match load_secret_key(path, passphrase.map(Secret::expose)) {
        Ok(key) => key,
        Err(russh::keys::Error::IO(error)) => return Ok(Tried::Unusable(format!("cannot be read: {error}"))),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            return Ok(Tried::Unusable("is encrypted, and no passphrase is given".into()));
        }
        Err(_) if passphrase.is_some() => {
            return Ok(Tried::Unusable("cannot be opened: wrong passphrase or unknown format".into()));
        }
        Err(error) => return Ok(Tried::Unusable(format!("is not understood: {error}"))),
    };
    let mut hash = None;
    if key.algorithm().is_rsa() {
        // SHA-2 only: a server that knows nothing but ssh-rsa (SHA-1) is refused, one that says nothing gets SHA-256.
        hash = match handle.best_supported_rsa_hash().await? {
            Some(None) => return Ok(Tried::Unusable("the server takes RSA keys with SHA-1 only".into())),
            Some(Some(hash)) => Some(hash),
            None => Some(HashAlg::Sha256),
        };
    }
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    Ok(match handle.authenticate_publickey(user, key).await? {
        AuthResult::Success => Tried::In,
        AuthResult::Failure { remaining_methods, .. } => Tried::Refused(remaining_methods),
    })
}
