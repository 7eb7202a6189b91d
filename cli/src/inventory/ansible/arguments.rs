//! The arguments of ssh in `ansible_ssh_common_args` and its kin, as far as they say how a host is reached (ssh(1), ssh_config(5)).
//!
//! What is not understood is an error: to leave out a jump host silently would be to connect to another machine.

use std::path::PathBuf;

use super::words;
use crate::inventory::{Agent, Key, Ssh, SshConfig, Via};
use crate::reach;

/// Jumps inside of proxy commands.
const DEPTH: usize = 4;

/// Options that change how fast or how loudly ssh connects, and not whereto or as whom: nothing here needs them.
const HARMLESS: [&str; 29] = [
    "addkeystoagent",
    "addressfamily",
    "batchmode",
    "canonicalizehostname",
    "checkhostip",
    "ciphers",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "escapechar",
    "forwardagent",
    "forwardx11",
    "hashknownhosts",
    "hostkeyalgorithms",
    "ipqos",
    "kexalgorithms",
    "loglevel",
    "macs",
    "numberofpasswordprompts",
    "permitlocalcommand",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "requesttty",
    "serveralivecountmax",
    "serveraliveinterval",
    "tcpkeepalive",
];

/// Takes what arguments say into a host.
pub fn apply(text: &str, ssh: &mut Ssh) -> Result<(), String> {
    let rest = options(&words::split(text, false)?, ssh, DEPTH)?;
    match rest.words.first() {
        None if rest.forward.is_none() => Ok(()),
        None => Err("`-W` means nothing outside of a ProxyCommand".to_owned()),
        Some(word) => Err(format!("`{word}` is not understood")),
    }
}

/// What is no option, and what `-W` says.
struct Rest {
    words: Vec<String>,
    forward: Option<String>,
}

fn options(words: &[String], ssh: &mut Ssh, depth: usize) -> Result<Rest, String> {
    let mut rest = Rest { words: Vec::new(), forward: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            rest.words.push(word.clone());
            continue;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                // Without a value: address families, compression, forwarding of agents and displays, terminals, how much is said.
                '4' | '6' | 'a' | 'A' | 'C' | 'k' | 'n' | 'N' | 'q' | 't' | 'T' | 'v' | 'x' | 'X' | 'Y' => continue,
                'o' | 'i' | 'p' | 'l' | 'J' | 'F' | 'W' => {}
                _ => return Err(format!("`-{letter}` is not understood")),
            }
            let joined = &letters[at + letter.len_utf8()..];
            let value = match joined {
                "" => words.next().ok_or_else(|| format!("behind `-{letter}` something is missing"))?,
                joined => joined,
            };
            match letter {
                'o' => option(value, ssh, depth)?,
                'i' => key(value, ssh),
                'p' => first(&mut ssh.port, port(value)?),
                'l' => first(&mut ssh.user, value.to_owned()),
                'J' => first(&mut ssh.via, jumps(value)?),
                'F' => ssh.ssh_config = config(value),
                _ => rest.forward = Some(value.to_owned()),
            }
            break;
        }
    }
    Ok(rest)
}

fn option(text: &str, ssh: &mut Ssh, depth: usize) -> Result<(), String> {
    let (name, value) = text
        .split_once('=')
        .or_else(|| text.split_once(char::is_whitespace))
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or_else(|| format!("`-o {text}` is not NAME=VALUE"))?;
    match name.to_ascii_lowercase().as_str() {
        "proxyjump" => first(&mut ssh.via, jumps(value)?),
        "proxycommand" => first(&mut ssh.via, proxy(value, depth)?),
        "stricthostkeychecking" => match value.to_ascii_lowercase().as_str() {
            "no" | "off" | "accept-new" | "false" => first(&mut ssh.accept_new_host_key, true),
            "yes" | "ask" | "true" => first(&mut ssh.accept_new_host_key, false),
            _ => return Err(format!("`{name}` cannot be `{value}`")),
        },
        "userknownhostsfile" | "globalknownhostsfile" => {
            let files = value.split_whitespace().filter(|file| !matches!(*file, "/dev/null" | "none"));
            ssh.known_hosts.get_or_insert_default().extend(files.map(PathBuf::from));
        }
        "hostkeyalias" => first(&mut ssh.known_as, value.to_owned()),
        "identityfile" => key(value, ssh),
        "certificatefile" => match ssh.keys.last_mut() {
            Some(key) => key.certificate = Some(PathBuf::from(value)),
            None => return Err("`CertificateFile` needs an `IdentityFile` before it".to_owned()),
        },
        "identitiesonly" => {
            if value.eq_ignore_ascii_case("yes") && ssh.agent == Agent::Usual {
                ssh.agent = Agent::No;
            }
        }
        // What is named is tried, whatever these say.
        "passwordauthentication"
        | "pubkeyauthentication"
        | "kbdinteractiveauthentication"
        | "challengeresponseauthentication"
        | "gssapiauthentication"
        | "preferredauthentications" => {}
        "identityagent" => {
            ssh.agent = match value {
                "none" => Agent::No,
                "SSH_AUTH_SOCK" => Agent::Yes { socket: None, only: Vec::new() },
                path => Agent::Yes { socket: Some(PathBuf::from(path)), only: Vec::new() },
            };
        }
        "port" => first(&mut ssh.port, port(value)?),
        "user" => first(&mut ssh.user, value.to_owned()),
        "hostname" => ssh.address = value.to_owned(),
        name if HARMLESS.contains(&name) => {}
        _ => return Err(format!("the option `{name}` is not understood")),
    }
    Ok(())
}

/// Of several that say the same the first counts.
fn first<T>(known: &mut Option<T>, value: T) {
    known.get_or_insert(value);
}

fn key(path: &str, ssh: &mut Ssh) {
    ssh.keys.push(Key { path: PathBuf::from(path), ..Key::default() });
}

fn config(path: &str) -> SshConfig {
    match path {
        "none" | "/dev/null" => SshConfig::No,
        path => SshConfig::File(PathBuf::from(path)),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{text}` is no TCP port"))
}

/// `[USER@]HOST[:PORT],…`. They are what ssh would take them for, and no hosts of the inventory.
fn jumps(text: &str) -> Result<Vec<Via>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let jump = |text: &str| {
        let text = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
        reach::target(text, &SshConfig::Usual)
            .map(|ssh| Via::Ssh(Box::new(ssh)))
            .map_err(|why| format!("`{text}`: {why}"))
    };
    text.split(',').map(str::trim).map(jump).collect()
}

/// `ssh -W %h:%p JUMP` is a jump; any other program is run as it is.
fn proxy(text: &str, depth: usize) -> Result<Vec<Via>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let command = || Ok(vec![Via::Command(text.to_owned())]);
    let words = words::split(text, false)?;
    let is_ssh = words.first().is_some_and(|word| word == "ssh" || word.ends_with("/ssh"));
    // A shell would read these.
    if !is_ssh || text.contains(['|', '&', ';', '<', '>', '$', '`', '(']) {
        return command();
    }
    let depth = depth.checked_sub(1).ok_or("its proxy commands go too deep")?;
    let mut jump = Ssh::default();
    let rest = options(&words[1..], &mut jump, depth).map_err(|why| format!("ProxyCommand: {why}"))?;
    let whole = matches!(rest.forward.as_deref(), Some("%h:%p" | "[%h]:%p"));
    match rest.words.as_slice() {
        [target] if whole => {
            let found = reach::target(target.strip_prefix("ssh://").unwrap_or(target), &jump.ssh_config)?;
            jump.port = found.port.or(jump.port);
            jump.user = found.user.or(jump.user);
            if jump.address.is_empty() {
                jump.address = found.address;
            }
            Ok(vec![Via::Ssh(Box::new(jump))])
        }
        _ => command(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Ssh, String> {
        let mut ssh = Ssh::default();
        apply(text, &mut ssh).map(|()| ssh)
    }

    /// The way there, as `user@host:port` from here to there.
    fn way(text: &str) -> String {
        let show = |via: &Via| match via {
            Via::Ssh(ssh) => {
                let user = ssh.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
                let keys: String = ssh.keys.iter().map(|key| format!(" key {}", key.path.display())).collect();
                format!("{user}{}{}{keys}", ssh.address, ssh.port.map_or_else(String::new, |port| format!(":{port}")))
            }
            Via::Command(text) => format!("command {text}"),
            Via::Name(name) => format!("name {name}"),
        };
        match of(text) {
            Ok(ssh) => ssh.via.iter().flatten().map(show).collect::<Vec<_>>().join(" -> "),
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn the_usual_ways_to_say_a_jump_are_jumps() {
        assert_eq!(way("-o ProxyJump=ann@gate:2222"), "ann@gate:2222");
        assert_eq!(way("-J gate1,ann@gate2"), "gate1 -> ann@gate2");
        assert_eq!(way("-Jgate"), "gate");
        assert_eq!(way(r#"-o ProxyCommand="ssh -W %h:%p -q ann@gate""#), "ann@gate");
        assert_eq!(way(r#"-o 'ProxyCommand=ssh -p 2222 -i ~/k -l ann -W %h:%p gate'"#), "ann@gate:2222 key ~/k");
        assert_eq!(
            way(r#"-o ProxyCommand='ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -W [%h]:%p gate'"#),
            "gate"
        );
        assert_eq!(way(r#"-o ProxyCommand="nc -X 5 -x proxy:1080 %h %p""#), "command nc -X 5 -x proxy:1080 %h %p");
        assert_eq!(way(r#"-o ProxyCommand="ssh gate nc %h %p""#), "command ssh gate nc %h %p");
        assert_eq!(way("-o ProxyJump=none"), "");
    }

    #[test]
    fn other_options_are_taken_or_named_in_an_error() {
        let ssh = of(
            "-o StrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -i ~/.ssh/k -p 23 -o ControlMaster=auto -vvC",
        )
        .unwrap();
        assert!(ssh.accept_new_host_key == Some(true) && ssh.port == Some(23));
        assert_eq!(ssh.known_hosts, Some(vec![]));
        assert_eq!(ssh.keys[0].path, PathBuf::from("~/.ssh/k"));
        assert_eq!(of("-p 23 -o Port=24").unwrap().port, Some(23), "the first counts");
        assert_eq!(of("-F /dev/null -o 'User ann'").unwrap().user.as_deref(), Some("ann"));
        for (text, says) in [
            ("-D 1080", "`-D`"),
            ("-o LocalForward=1:2", "LocalForward"),
            ("-o", "missing"),
            ("-o nothing", "NAME=VALUE"),
            ("-p 0", "TCP port"),
            ("gate", "`gate`"),
            ("-W %h:%p", "ProxyCommand"),
            ("-o StrictHostKeyChecking=perhaps", "perhaps"),
            ("-o CertificateFile=c", "IdentityFile"),
            ("'", "quotation"),
        ] {
            let found = of(text).map(|_| ()).unwrap_err();
            assert!(found.contains(says), "{text}: {found}");
        }
    }
}
