//! What is read, against what `ssh -G` says of the same files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::read::Settings;
use super::*;
use crate::report::Problem;

/// A file, and the hosts that are looked up in it: `[user@]host[:port]`.
const CASES: &[(&str, &[&str])] = &[
    ("", &["a", "ann@a", "a:2222", "ANN@a.Example:2222"]),
    ("Port 2022\nUser ops", &["a", "ann@a", "a:2222"]),
    ("Host a\n Port 1\nHost *\n Port 2\n User x", &["a", "b"]),
    ("Host *\n Port 2\nHost a\n Port 1\n User y", &["a", "b"]),
    ("Host a b c\n User abc\nHost d* ?e\n User de", &["a", "b", "c", "dd", "d", "xe", "e", "ab"]),
    ("Host * !a !b*\n User x\nHost !c\n Port 9", &["a", "b", "bb", "c", "d"]),
    ("Host !a *\n User x", &["a", "b"]),
    ("Host A\n User upper\nHost a\n User lower", &["A", "a"]),
    ("Host a\nHostName %h.example.COM\nHost b\nHostName 192.0.2.1\nHost c\nHostName a%%b", &["a", "b", "c", "X"]),
    ("host=a\nhostname=b\nport = 3\nUSER \"ann b\"", &["a"]),
    ("Host a # b\n User x # comment\nHost b\n User y", &["a", "b"]),
    (
        "Host a\n\tIdentityFile ~/.ssh/one\n\tIdentityFile \"~/a key\"\nIdentityFile ~/.ssh/one\nHost *\nIdentityFile /k/%r_%h",
        &["a", "b"],
    ),
    ("IdentityFile none\nIdentitiesOnly yes", &["a"]),
    ("IdentitiesOnly no\nIdentitiesOnly yes\nIdentityAgent none", &["a"]),
    ("IdentityAgent ~/agent.%n.%p\nCertificateFile ~/c1\nCertificateFile /c2-%u", &["a", "a:99"]),
    ("IdentityAgent SSH_AUTH_SOCK\nPubkeyAuthentication no\nPreferredAuthentications password,publickey", &["a"]),
    (
        "Host a\n ProxyJump j\nHost b\n ProxyJump u@j:2,k\nHost c\n ProxyJump none\nHost *\n ProxyJump z",
        &["a", "b", "c", "d"],
    ),
    ("Host a\n ProxyJump ssh://u@j:22\nHost b\n ProxyJump [::1]:22\nHost c\n ProxyJump u@v@w", &["a", "b", "c"]),
    (
        "Host a\n ProxyCommand nc -x %h %p # all of it\nHost b\n ProxyCommand=nc \"%r\"\nHost *\n ProxyCommand none",
        &["a", "b", "c"],
    ),
    ("ProxyCommand nc\nProxyJump j", &["a"]),
    ("ProxyJump j\nProxyCommand nc", &["a"]),
    ("ProxyJump none\nProxyCommand nc", &["a"]),
    ("ProxyCommand none\nProxyJump j", &["a"]),
    ("UserKnownHostsFile ~/.ssh/kh /x/%h_%k_%n\nHostKeyAlias al\nGlobalKnownHostsFile /g1 /g2", &["a"]),
    ("UserKnownHostsFile none\nUserKnownHostsFile /b\nGlobalKnownHostsFile /dev/null", &["a"]),
    (
        "Host a\nStrictHostKeyChecking no\nHost b\nStrictHostKeyChecking accept-new\nHost c\nStrictHostKeyChecking yes\nHost d\nStrictHostKeyChecking off\nHost e\nStrictHostKeyChecking ask",
        &["a", "b", "c", "d", "e", "f"],
    ),
    ("Match all\n User x", &["a"]),
    (
        "Match host a,b*,!bb\n User x\nMatch originalhost c\n HostName a\n Port 7\nMatch host a\n HostKeyAlias was-a",
        &["a", "b", "bb", "c", "A"],
    ),
    ("Match user ann\n Port 1\nMatch !user ann host a\n Port 2\nMatch all\n Port 3", &["ann@a", "a", "b"]),
    ("User ann\nMatch user ann\n Port 1", &["a", "bob@a"]),
    ("Match localuser nobody-of-this-name\n Port 1\nMatch !localuser nobody-of-this-name\n Port 2", &["a"]),
    ("Host a\n HostName real\nMatch final host real\n Port 4\nMatch !final all\n Port 6", &["a", "real"]),
    ("Host a\n HostName real.X\nHost real.x\n User second\nMatch final all\n Port 4\n IdentityFile /f", &["a", "b"]),
    ("Match host a all\n Port 1\nMatch !final all\n Port 2", &["a", "b"]),
    ("Match canonical all\n Port 1\nMatch host a canonical\n Port 2", &["a"]),
    (
        "Match host=a\n Port 1\nMatch Host \"b,c\"\n Port 2\nMatch host a* user * !host ab\n User z",
        &["a", "b", "c", "ab", "ax"],
    ),
    ("Host a\nInclude DIR/inc1\nUser after\nHost *\nInclude DIR/inc*", &["a", "b", "c"]),
    ("Include DIR/sub/* DIR/missing DIR/inc2\nPort 77", &["a", "b", "in-sub"]),
    ("Host z\nInclude DIR/inc1\nMatch host a\nInclude DIR/inc1\nPort 5", &["a", "b", "z"]),
    ("IgnoreUnknown Foo*,bar\nFooBar x\nBar y\nUser z", &["a"]),
    (
        "SendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes\nForwardAgent yes\nControlMaster auto\nControlPath ~/%C\nServerAliveInterval 3\nLogLevel ERROR\nPort 8",
        &["a"],
    ),
    ("User 'single quoted'\nHostKeyAlias \"a\\\"b\"", &["a"]),
];

/// Files that `ssh` refuses, and so do we.
const REFUSED: &[&str] = &[
    "User \"a",
    "Port x\n",
    "Port 0\n",
    "Port 70000\n",
    "Port 1 2",
    "Port",
    "User a b",
    "IdentitiesOnly perhaps",
    "StrictHostKeyChecking perhaps",
    "UserKnownHostsFile none /x",
    "ProxyJump u@",
    "ProxyJump a:x",
    "Host",
    "Match",
    "Match nothing x",
    "Match host",
    "Match all host a",
    "Match host a user x all",
    "Include DIR/itself",
];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("anneal-ssh-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("sub")).unwrap();
        let folder = Folder(path);
        folder.write("inc1", "Host a\n User inc-a\nHost b\n Port 11\n IdentityFile /inc1");
        folder.write("inc2", "User inc2\nMatch host c\n HostName from-inc2");
        folder.write("sub/x", "Host in-sub\n User sub\nInclude DIR/inc2");
        folder.write("sub/.hidden", "User hidden");
        folder.write("itself", "Include DIR/itself");
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text.replace("DIR", self.0.to_str().unwrap())).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// As `ssh` sees whoever runs it.
fn local() -> Local {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<&str> =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line[2] == uid.to_string()).unwrap();
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Local { home: fields[5].into(), user: fields[0].to_owned(), uid, machine, env: |name| std::env::var(name).ok() }
}

type Said = BTreeMap<String, Vec<String>>;

/// What OpenSSH makes of it; nothing where it refuses the file.
fn oracle(file: &Path, asked: Asked<'_>) -> Option<Said> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-G").arg("-F").arg(file).stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK");
    if let Some(user) = asked.user {
        ssh.args(["-l", user]);
    }
    if let Some(port) = asked.port {
        ssh.args(["-p", &port.to_string()]);
    }
    let output = ssh.arg("--").arg(asked.host).output().expect("ssh: install openssh-client");
    if !output.status.success() {
        return None;
    }
    let mut said = Said::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        said.entry(keyword.to_owned()).or_default().push(value.to_owned());
    }
    Some(said)
}

fn ours(file: &Path, asked: Asked<'_>) -> Result<(Settings, Expanded), Problem> {
    let local = local();
    let found = read(asked, &Root::File(file.to_owned()), &Disk::default(), &local)?;
    let expanded = expand(&found, asked, &local)?;
    Ok((found, expanded))
}

fn asked(text: &str) -> Asked<'_> {
    let (user, rest) = text.split_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, port.parse().ok()));
    Asked { host, user, port }
}

/// What we found in OpenSSH's words.
fn in_its_words(found: &Settings, expanded: &Expanded, local: &Local) -> Said {
    let mut said = Said::new();
    let mut say = |keyword: &str, values: Vec<String>| {
        if !values.is_empty() {
            said.insert(keyword.to_owned(), values);
        }
    };
    let joined = |paths: &[PathBuf]| {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        vec![if paths.is_empty() { "none".to_owned() } else { paths.join(" ") }]
    };
    let yes = |yes: bool| vec![if yes { "yes" } else { "no" }.to_owned()];
    say("hostname", vec![expanded.address.clone()]);
    say("user", vec![expanded.user.clone()]);
    say("port", vec![expanded.port.to_string()]);
    say("identityfile", found.identity_files.clone());
    say("certificatefile", found.certificate_files.clone());
    say("identitiesonly", yes(expanded.identities_only));
    let agent = match (&expanded.agent, &found.identity_agent) {
        (AgentSetting::Socket(path), _) => vec![path.display().to_string()],
        (_, Some(text)) => vec![text.clone()],
        (_, None) => Vec::new(),
    };
    say("identityagent", agent);
    let jump = |jump: &Jump| {
        let host = if jump.host.contains(':') { format!("[{}]", jump.host) } else { jump.host.clone() };
        let user = jump.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("{user}{host}{}", jump.port.map(|port| format!(":{port}")).unwrap_or_default())
    };
    match &found.proxy {
        None | Some(Proxy::None | Proxy::NoJump) => {}
        Some(Proxy::Command(text)) => say("proxycommand", vec![text.clone()]),
        Some(Proxy::Jumps(jumps)) => say("proxyjump", vec![jumps.iter().map(jump).collect::<Vec<_>>().join(",")]),
    }
    let ssh = local.home.join(".ssh");
    let usual = [ssh.join("known_hosts"), ssh.join("known_hosts2")];
    say("userknownhostsfile", joined(expanded.user_known_hosts.as_deref().unwrap_or(&usual)));
    let usual = ["/etc/ssh/ssh_known_hosts".into(), "/etc/ssh/ssh_known_hosts2".into()];
    say("globalknownhostsfile", joined(expanded.global_known_hosts.as_deref().unwrap_or(&usual)));
    let strict = match expanded.strict {
        Strict::Yes => "true",
        Strict::AcceptNew => "accept-new",
        Strict::No => "false",
    };
    say("stricthostkeychecking", vec![strict.to_owned()]);
    say("hostkeyalias", expanded.known_as.iter().cloned().collect());
    say("pubkeyauthentication", vec![expanded.pubkey.to_string()]);
    say("preferredauthentications", found.preferred.iter().cloned().collect());
    said
}

/// OpenSSH's words, where ours say the same otherwise.
fn levelled(mut said: Said, found: &Settings) -> Said {
    if found.identity_files.is_empty() {
        let usual = said.remove("identityfile").unwrap();
        assert_eq!(usual[0], "~/.ssh/id_rsa");
    }
    for value in said.get_mut("stricthostkeychecking").into_iter().flatten().filter(|value| *value == "ask") {
        *value = "true".to_owned();
    }
    if said.get("proxycommand").is_some_and(|value| value == &["none"]) {
        said.remove("proxycommand");
    }
    said
}

#[test]
fn every_setting_is_what_openssh_says() {
    let folder = Folder::new("oracle");
    let local = local();
    let mut compared = 0;
    for (text, hosts) in CASES {
        let file = folder.write("config", text);
        for host in *hosts {
            let asked = asked(host);
            let said = oracle(&file, asked).unwrap_or_else(|| panic!("ssh refuses {text:?} for {host}"));
            let (found, expanded) = ours(&file, asked).unwrap_or_else(|problem| panic!("{text:?} {host}: {problem:?}"));
            let ours = in_its_words(&found, &expanded, &local);
            let theirs = levelled(said, &found);
            for keyword in ALL {
                assert_eq!(ours.get(*keyword), theirs.get(*keyword), "{keyword} of {host} in\n{text}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}

const ALL: &[&str] = &[
    "hostname",
    "user",
    "port",
    "identityfile",
    "certificatefile",
    "identitiesonly",
    "identityagent",
    "proxyjump",
    "proxycommand",
    "userknownhostsfile",
    "globalknownhostsfile",
    "stricthostkeychecking",
    "hostkeyalias",
    "pubkeyauthentication",
    "preferredauthentications",
];

#[test]
fn what_openssh_refuses_is_refused() {
    let folder = Folder::new("refused");
    for text in REFUSED {
        let file = folder.write("config", text);
        assert!(oracle(&file, asked("a")).is_none(), "ssh takes {text:?}");
        let problem = ours(&file, asked("a")).expect_err(text);
        assert!(problem.message.starts_with(folder.0.to_str().unwrap()), "{problem:?}");
    }
}
