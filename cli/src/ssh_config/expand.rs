//! Tokens, environment variables and `~` in settings (ssh_config(5), TOKENS).

use std::path::PathBuf;

use super::read::Settings;
use super::{Asked, Jump, Local, Proxy, Strict};
use crate::report::Problem;

/// Settings with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    pub address: String,
    pub port: u16,
    pub user: String,
    /// In the order in which they are tried; nothing where none is named. `none` is left out.
    pub identity_files: Option<Vec<PathBuf>>,
    pub certificate_files: Vec<PathBuf>,
    pub identities_only: bool,
    pub agent: AgentSetting,
    pub proxy: Proxy,
    /// Files of known hosts, where the configuration names any.
    pub user_known_hosts: Option<Vec<PathBuf>>,
    pub global_known_hosts: Option<Vec<PathBuf>>,
    pub strict: Strict,
    pub known_as: Option<String>,
    /// Whether keys are tried.
    pub pubkey: bool,
    /// Ways to log in, in this order, where the configuration says it.
    pub preferred: Option<Vec<String>>,
}

/// `IdentityAgent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentSetting {
    /// That of `SSH_AUTH_SOCK`.
    Usual,
    /// None.
    No,
    /// That behind this socket.
    Socket(PathBuf),
}

/// Fills in what stands for something else.
pub fn expand(found: &Settings, asked: Asked<'_>, local: &Local) -> Result<Expanded, Problem> {
    let address = host_name(found, asked.host)?;
    let port = found.port.unwrap_or(22);
    let user = found.user.clone().unwrap_or_else(|| local.user.clone());
    let tokens = Tokens { found, asked, local, address: &address, port, user: &user };
    let paths = |files: &[String]| -> Result<Vec<PathBuf>, Problem> {
        files.iter().filter(|file| !file.eq_ignore_ascii_case("none")).map(|file| tokens.path(file)).collect()
    };
    Ok(Expanded {
        identity_files: match found.identity_files.as_slice() {
            [] => None,
            files => Some(paths(files)?),
        },
        certificate_files: paths(&found.certificate_files)?,
        identities_only: found.identities_only.unwrap_or(false),
        agent: tokens.agent(found.identity_agent.as_deref())?,
        proxy: tokens.proxy(found.proxy.as_ref())?,
        user_known_hosts: found.user_known_hosts.as_deref().map(paths).transpose()?,
        global_known_hosts: found.global_known_hosts.as_deref().map(paths).transpose()?,
        strict: found.strict.unwrap_or(Strict::Yes),
        known_as: found.host_key_alias.clone(),
        pubkey: found.pubkey.unwrap_or(true),
        preferred: found.preferred.as_ref().map(|list| list.split(',').map(|way| way.trim().to_owned()).collect()),
        address,
        port,
        user,
    })
}

/// The address, in small letters: `HostName` with `%h` for what was asked for, else just that.
pub fn host_name(found: &Settings, asked: &str) -> Result<String, Problem> {
    let name = match &found.host_name {
        None => Ok(asked.to_owned()),
        Some(text) => percent(text, |token| (token == 'h').then(|| asked.to_owned())),
    };
    name.map(|name| name.to_lowercase())
}

/// `~` at the beginning.
pub fn home(text: &str, local: &Local) -> Result<String, Problem> {
    let home = local.home.to_string_lossy();
    match text.strip_prefix('~') {
        None => Ok(text.to_owned()),
        Some("") => Ok(home.into_owned()),
        Some(rest) if rest.starts_with('/') => Ok(format!("{home}{rest}")),
        Some(_) => Err(Problem::usage(format!("`{text}`: the home folder of another user is not looked up"))
            .hint("write its whole path")),
    }
}

struct Tokens<'a> {
    found: &'a Settings,
    asked: Asked<'a>,
    local: &'a Local,
    address: &'a str,
    port: u16,
    user: &'a str,
}

impl Tokens<'_> {
    fn path(&self, text: &str) -> Result<PathBuf, Problem> {
        let text = percent(&home(text, self.local)?, |token| self.token(token))?;
        Ok(variables(&text, self.local)?.into())
    }

    fn token(&self, token: char) -> Option<String> {
        let Tokens { found, asked, local, .. } = self;
        Some(match token {
            'd' => local.home.to_string_lossy().into_owned(),
            'h' => self.address.to_owned(),
            'i' => local.uid.to_string(),
            'k' => found.host_key_alias.clone().unwrap_or_else(|| asked.host.to_owned()),
            'L' => local.machine.split('.').next().unwrap_or_default().to_owned(),
            'l' => local.machine.clone(),
            'n' => asked.host.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => local.user.clone(),
            'C' => self.hash(),
            _ => return None,
        })
    }

    /// `%C`: SHA-1 of `%l%h%p%r`; a name for files, on which nothing rests.
    fn hash(&self) -> String {
        let text = format!("{}{}{}{}", self.local.machine, self.address, self.port, self.user);
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        data_encoding::HEXLOWER.encode(digest.as_ref())
    }

    fn agent(&self, setting: Option<&str>) -> Result<AgentSetting, Problem> {
        Ok(match setting {
            None | Some("SSH_AUTH_SOCK") => AgentSetting::Usual,
            Some(text) if text.eq_ignore_ascii_case("none") => AgentSetting::No,
            Some(text) => match text.strip_prefix('$').filter(|rest| !rest.starts_with('{')) {
                Some(name) => (self.local.env)(name).map_or(AgentSetting::No, |path| AgentSetting::Socket(path.into())),
                None => AgentSetting::Socket(self.path(text)?),
            },
        })
    }

    fn proxy(&self, proxy: Option<&Proxy>) -> Result<Proxy, Problem> {
        let of_proxies = |token: char| if "hnpr".contains(token) { self.token(token) } else { None };
        let harmless = [self.address, self.asked.host, self.user];
        Ok(match proxy {
            None | Some(Proxy::None | Proxy::NoJump) => Proxy::None,
            Some(Proxy::Command(text)) => {
                harmless.iter().try_for_each(|text| in_shell(text))?;
                Proxy::Command(percent(text, of_proxies)?)
            }
            Some(Proxy::Jumps(jumps)) => {
                let filled = jumps.iter().map(|jump| {
                    let user = jump.user.as_deref().map(|user| percent(user, of_proxies)).transpose()?;
                    Ok(Jump { user, host: percent(&jump.host, of_proxies)?, port: jump.port })
                });
                Proxy::Jumps(filled.collect::<Result<_, Problem>>()?)
            }
        })
    }
}

/// A proxy command of an inventory, with what it stands for filled in.
pub fn command(text: &str, host: &str, port: u16, user: &str) -> Result<String, Problem> {
    [host, user].iter().try_for_each(|text| in_shell(text))?;
    percent(text, |token| match token {
        'h' => Some(host.to_owned()),
        'p' => Some(port.to_string()),
        'r' => Some(user.to_owned()),
        _ => None,
    })
}

/// Refuses a name that would be more than a word in a shell's text, as OpenSSH does since 9.6.
fn in_shell(name: &str) -> Result<(), Problem> {
    let harmful = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}".contains(c);
    match name.starts_with('-') || name.chars().any(harmful) {
        true => Err(Problem::usage(format!("{name:?} has no place in the text of a proxy command"))),
        false => Ok(()),
    }
}

/// `%x` by what `token` says of it, `%%` by `%`.
fn percent(text: &str, token: impl Fn(char) -> Option<String>) -> Result<String, Problem> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some(name) => out.push_str(&token(name).ok_or_else(|| {
                Problem::usage(format!("`{text}`: `%{name}` means nothing here")).hint("a percent sign is written `%%`")
            })?),
            None => return Err(Problem::usage(format!("`{text}` ends in the middle of a token"))),
        }
    }
    Ok(out)
}

/// `${NAME}` by the environment.
fn variables(text: &str, local: &Local) -> Result<String, Problem> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, after) =
            behind.split_once('}').ok_or_else(|| Problem::usage(format!("`{text}`: a `}}` is missing")))?;
        let value = (local.env)(name)
            .ok_or_else(|| Problem::usage(format!("`{text}`: the environment variable {name} is not set")))?;
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
