//! Logging in: keys in every form, certificates, agents, several methods in a row, and the account of a login that was refused.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod host_support;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::host::{Answer, Auth, ErrorKind, Host, SshServer};
use host_support::{Folder, PASSWORD, Sshd, keygen, secret, until};

fn key(path: &Path) -> Auth {
    Auth::Key { path: path.into(), passphrase: None, certificate: None }
}

fn certified(path: &Path, certificate: &Path) -> Auth {
    Auth::Key { path: path.into(), passphrase: None, certificate: Some(certificate.into()) }
}

fn password() -> Auth {
    Auth::Password(secret(PASSWORD))
}

fn login(sshd: &Sshd, user: &str, auth: Vec<Auth>) -> Host {
    sshd.host_with(SshServer { user: user.into(), auth, ..sshd.server() })
}

/// What was tried, what the server offers, and all that is shown. No secret is in it.
async fn refusal(host: &Host) -> (Vec<String>, Vec<String>, String) {
    let error = host.check().await.unwrap_err();
    let shown = error.to_string();
    for secret in [PASSWORD, "open sesame", "guess", "000000"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let ErrorKind::Auth { tried, offered, .. } = error.kind else { panic!("{shown}") };
    (tried, offered, shown)
}

fn run(program: &str, arguments: &[&str], environment: &[(&str, &Path)]) {
    let output =
        Command::new(program).args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `ssh-keygen -s`; gives the certificate's path.
fn sign(ca: &Path, arguments: &[&str], key: &Path) -> PathBuf {
    let public = key.with_extension("pub");
    run("ssh-keygen", &[&["-q", "-s", text(ca), "-I", "somebody"], arguments, &[text(&public)]].concat(), &[]);
    PathBuf::from(format!("{}-cert.pub", key.display()))
}

fn authorize(sshd: &Sshd, keys: &[&Path]) {
    let lines: String = keys.iter().map(|key| std::fs::read_to_string(key.with_extension("pub")).unwrap()).collect();
    std::fs::write(sshd.folder.path("authorized"), lines).unwrap();
}

/// A server that trusts user certificates of `ca` in its folder.
fn trusting(users: bool) -> Sshd {
    let lines = "TrustedUserCAKeys $FOLDER/other.pub";
    if users { Sshd::with_users(lines) } else { Sshd::with(lines) }
}

/// An `ssh-agent` of our own.
struct Agent {
    folder: Folder,
    child: Child,
}

impl Agent {
    fn start(keys: &[&Path]) -> Self {
        let folder = Folder::new("agent");
        let socket = folder.path("socket");
        let child = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        until("the agent to listen", || socket.exists());
        let agent = Self { folder, child };
        for key in keys {
            run("ssh-add", &["-q", text(key)], &[("SSH_AUTH_SOCK", &agent.socket())]);
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        self.folder.path("socket")
    }

    fn way(&self, only: &[&Path]) -> Auth {
        Auth::Agent { socket: Some(self.socket()), only: only.iter().map(|path| path.to_path_buf()).collect() }
    }

    fn lock(&self) {
        let ask = self.folder.path("ask");
        std::fs::write(&ask, "#!/bin/sh\necho locked\n").unwrap();
        run("chmod", &["755", text(&ask)], &[]);
        let environment =
            [("SSH_AUTH_SOCK", &*self.socket()), ("SSH_ASKPASS", &*ask), ("SSH_ASKPASS_REQUIRE", Path::new("force"))];
        run("ssh-add", &["-x"], &environment);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn keys_in_every_form_are_understood() {
    let (sshd, keys) = (Sshd::start(), Folder::new("forms"));
    for (kind, bits, form) in [
        ("ed25519", "256", "RFC4716"),
        ("ecdsa", "256", "RFC4716"),
        ("ecdsa", "384", "PKCS8"),
        ("ecdsa", "521", "PKCS8"),
        ("ecdsa", "256", "PEM"),
        ("rsa", "2048", "RFC4716"),
        ("rsa", "2048", "PKCS8"),
        ("rsa", "2048", "PEM"),
    ] {
        for passphrase in ["", "open sesame"] {
            let name = format!("{kind} {bits} {form} {passphrase:?}");
            let path = keys.path(&format!("{kind}{bits}{form}{}", passphrase.len()));
            let made = ["-q", "-t", kind, "-b", bits, "-m", form, "-N", passphrase, "-f", text(&path)];
            run("ssh-keygen", &made, &[]);
            authorize(&sshd, &[&path]);
            let given = (!passphrase.is_empty()).then(|| secret(passphrase));
            let way = Auth::Key { path: path.clone(), passphrase: given, certificate: None };
            let checked = login(&sshd, "root", vec![way]).check().await;
            checked.unwrap_or_else(|error| panic!("{name}: {error}"));
            if !passphrase.is_empty() {
                let (tried, ..) = refusal(&login(&sshd, "root", vec![key(&path)])).await;
                assert!(tried[0].ends_with("(is encrypted, and no passphrase is given)"), "{name}: {tried:?}");
            }
        }
    }
    let public = sshd.folder.path("user.pub");
    let (tried, ..) = refusal(&login(&sshd, "root", vec![key(&public)])).await;
    assert!(tried[0].ends_with("(is a public key, not a private one)"), "{tried:?}");
}

#[tokio::test]
async fn a_user_certificate_is_offered_before_its_key() {
    let (sshd, keys) = (trusting(false), Folder::new("certificates"));
    let ca = sshd.folder.path("other");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = keys.path(kind);
        keygen(&path, kind, "");
        let beside = sign(&ca, &["-n", "root", "-V", "-1h:+1h"], &path);
        login(&sshd, "root", vec![key(&path)]).check().await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let elsewhere = keys.path(&format!("{kind}.certificate"));
        std::fs::rename(&beside, &elsewhere).unwrap();
        login(&sshd, "root", vec![certified(&path, &elsewhere)]).check().await.unwrap();
        let (tried, ..) = refusal(&login(&sshd, "root", vec![key(&path)])).await;
        assert_eq!(tried, [format!("key {} (refused)", path.display())]);
    }
}

#[tokio::test]
async fn a_user_certificate_that_does_not_do_says_why_and_the_key_is_tried() {
    let (sshd, keys) = (trusting(false), Folder::new("certificates"));
    let path = keys.path("id");
    keygen(&path, "ed25519", "");
    for (ca, arguments, why) in [
        (
            "other",
            &["-n", "root", "-V", "20200101000000Z:20210101000000Z"][..],
            "refused) – it expired at 2021-01-01T00:00:00Z",
        ),
        ("other", &["-n", "deploy"], "refused) – it is for deploy"),
        ("other", &["-h", "-n", "root"], "is a certificate for hosts, not for users)"),
        ("host", &["-n", "root"], "refused)"),
    ] {
        let certificate = sign(&sshd.folder.path(ca), arguments, &path);
        let (tried, _, shown) = refusal(&login(&sshd, "root", vec![certified(&path, &certificate)])).await;
        let expected =
            [format!("certificate {} ({why}", certificate.display()), format!("key {} (refused)", path.display())];
        assert_eq!(tried, expected, "{shown}");
        // Where the key itself may log in, it does.
        login(&sshd, "root", vec![certified(&path, &certificate), key(&sshd.folder.path("user"))])
            .check()
            .await
            .unwrap();
    }
    let user = sshd.folder.path("user");
    for (certificate, why) in [
        (sign(&sshd.folder.path("other"), &["-n", "root"], &path), "is a certificate for another key"),
        (keys.path("missing"), "cannot be read: No such file or directory (os error 2)"),
        (path.with_extension("pub"), "is no certificate"),
    ] {
        login(&sshd, "root", vec![certified(&user, &certificate)]).check().await.unwrap();
        let (tried, ..) = refusal(&login(&sshd, "nobody-here", vec![certified(&user, &certificate)])).await;
        assert_eq!(tried[0], format!("certificate {} ({why})", certificate.display()));
    }
}

#[tokio::test]
async fn an_agents_keys_and_certificates_log_in() {
    let (sshd, keys) = (trusting(false), Folder::new("agents"));
    let user = sshd.folder.path("user");
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let path = keys.path(kind);
        keygen(&path, kind, "");
        authorize(&sshd, &[&path]);
        login(&sshd, "root", vec![Agent::start(&[&path]).way(&[])]).check().await.unwrap();
    }
    // ssh-add takes the certificate beside a key along.
    let path = keys.path("certified");
    keygen(&path, "rsa", "");
    let certificate = sign(&sshd.folder.path("other"), &["-n", "root"], &path);
    login(&sshd, "root", vec![Agent::start(&[&path]).way(&[])]).check().await.unwrap();
    // A certificate that lies in a file, for a key that only the agent has.
    let moved = keys.path("moved");
    std::fs::rename(&certificate, &moved).unwrap();
    let agent = Agent::start(&[&path]);
    login(&sshd, "root", vec![agent.way(&[&moved])]).check().await.unwrap();
    let (tried, ..) = refusal(&login(&sshd, "root", vec![agent.way(&[])])).await;
    assert!(tried[0].starts_with("agent's key \"") && tried[0].ends_with("(refused)"), "{tried:?}");

    // By `only`: a public key, a private key with the public one beside it, or in it; no other is offered.
    authorize(&sshd, &[&user]);
    let agent = Agent::start(&[&keys.path("ed25519"), &user]);
    let alone = keys.path("alone");
    std::fs::copy(&user, &alone).unwrap();
    for file in [&user.with_extension("pub"), &user, &alone] {
        login(&sshd, "root", vec![agent.way(&[file])]).check().await.unwrap();
    }
    let (tried, ..) = refusal(&login(&sshd, "root", vec![agent.way(&[&keys.path("ed25519")])])).await;
    assert_eq!(tried.len(), 1, "{tried:?}");
}

#[tokio::test]
async fn an_agent_that_does_not_help_is_said_and_the_next_way_is_tried() {
    let (sshd, folder) = (Sshd::start(), Folder::new("agents"));
    let user = key(&sshd.folder.path("user"));
    let at = |socket: PathBuf| Auth::Agent { socket: Some(socket), only: Vec::new() };
    let hanging = folder.path("hanging");
    let _listener = UnixListener::bind(&hanging).unwrap();
    let locked = Agent::start(&[&sshd.folder.path("user")]);
    locked.lock();
    let other = Agent::start(&[&sshd.folder.path("other")]);
    let missing = folder.path("missing");
    for (way, why) in [
        (at(missing.clone()), format!("(no answer at {}: No such file or directory (os error 2))", missing.display())),
        (at(hanging.clone()), format!("({} did not answer within 5 s)", hanging.display())),
        (at(locked.socket()), format!("({} has no keys, or is locked)", locked.socket().display())),
        (
            other.way(&[&sshd.folder.path("user")]),
            format!("({} has none of the keys that are named)", other.socket().display()),
        ),
        (
            other.way(&[&missing]),
            format!("({} cannot be read: No such file or directory (os error 2))", missing.display()),
        ),
    ] {
        let since = Instant::now();
        let (tried, ..) = refusal(&login(&sshd, "root", vec![way.clone()])).await;
        assert_eq!(tried, [format!("agent {why}")]);
        login(&sshd, "root", vec![way, user.clone()]).check().await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    }
    // No other test of this process reads the variable; nextest gives each a process of its own.
    if std::env::var_os("SSH_AUTH_SOCK").is_none() {
        let (tried, ..) = refusal(&login(&sshd, "root", vec![Auth::Agent { socket: None, only: Vec::new() }])).await;
        assert_eq!(tried, ["agent (none is running: SSH_AUTH_SOCK is not set, and no socket is given)"]);
    }
}

#[tokio::test]
async fn many_keys_of_an_agent_leave_a_try_to_the_ways_after_it() {
    let (sshd, keys) = (Sshd::with_users(""), Folder::new("many"));
    let paths: Vec<PathBuf> = (0..9).map(|n| keys.path(&format!("key{n}"))).collect();
    for path in &paths {
        keygen(path, "ed25519", "");
    }
    let agent = Agent::start(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    login(&sshd, "plain", vec![agent.way(&[]), password()]).check().await.unwrap();
    let (tried, ..) = refusal(&login(&sshd, "plain", vec![agent.way(&[]), Auth::Password(secret("guess"))])).await;
    assert_eq!(tried.len(), 7, "five keys, how many were not offered, and the password: {tried:?}");
    assert_eq!(tried[5], "4 more keys of the agent (not offered: servers hang up after 6 tries)");
    // Naming the right one is what helps.
    authorize(&sshd, &[&paths[8]]);
    login(&sshd, "plain", vec![agent.way(&[&paths[8]]), password()]).check().await.unwrap();

    // A key that was refused out of a file is not offered again by the agent.
    let (tried, ..) = refusal(&login(&sshd, "plain", vec![key(&paths[0]), agent.way(&[&paths[0]])])).await;
    assert!(tried[0].ends_with("(refused)") && tried[1].ends_with("(judged already)"), "{tried:?}");
}

#[tokio::test]
async fn a_server_that_hangs_up_after_too_many_tries_is_quoted() {
    let (sshd, keys) = (Sshd::with("MaxAuthTries 2"), Folder::new("tries"));
    let paths: Vec<PathBuf> = (0..4).map(|n| keys.path(&format!("key{n}"))).collect();
    for path in &paths {
        keygen(path, "ed25519", "");
    }
    let ways = paths.iter().map(|path| key(path)).collect();
    let (tried, _, shown) = refusal(&login(&sshd, "root", ways)).await;
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert!(tried[1].ends_with("(the server hung up: Too many authentication failures)"), "{tried:?}");
    assert!(shown.ends_with("give fewer ways, or name the keys of the agent"), "{shown}");
}

#[tokio::test]
async fn several_methods_in_a_row_are_gone_through_in_any_order() {
    let keys = Folder::new("row");
    let (one, two) = (keys.path("one"), keys.path("two"));
    keygen(&one, "ed25519", "");
    keygen(&two, "ecdsa", "");
    let agent = Agent::start(&[&one, &two]);
    let asked =
        |question: &str| Auth::Interactive(vec![Answer { question: question.into(), answer: secret(PASSWORD) }]);
    for (methods, ways) in [
        ("publickey,password", vec![key(&one), password()]),
        ("publickey,password", vec![password(), key(&one)]),
        ("password,publickey", vec![key(&one), password()]),
        ("publickey,publickey", vec![agent.way(&[])]),
        ("publickey,publickey", vec![key(&one), key(&two)]),
        ("publickey,publickey", vec![key(&one), agent.way(&[])]),
        ("publickey,keyboard-interactive", vec![password(), agent.way(&[])]),
        ("publickey,keyboard-interactive", vec![key(&one), asked("PASSWORD")]),
        ("password,keyboard-interactive", vec![asked(""), password()]),
        ("publickey,publickey,password publickey,password", vec![key(&two), password()]),
    ] {
        let sshd = Sshd::with_users(&format!("KbdInteractiveAuthentication yes\nAuthenticationMethods {methods}"));
        authorize(&sshd, &[&one, &two]);
        let host = login(&sshd, "plain", ways);
        host.check().await.unwrap_or_else(|error| panic!("{methods}: {error}"));
    }
    let sshd = Sshd::with_users("AuthenticationMethods publickey,password");
    authorize(&sshd, &[&one]);
    let (tried, offered, shown) = refusal(&login(&sshd, "plain", vec![key(&one)])).await;
    assert_eq!(tried, [format!("key {} (accepted)", one.display())]);
    assert_eq!(offered, ["password"]);
    assert!(shown.ends_with("the server wants several ways in a row; give the host one more, for password"), "{shown}");
    let (tried, offered, shown) = refusal(&login(&sshd, "plain", vec![password()])).await;
    assert_eq!(tried, ["password (the server does not take it)"]);
    assert_eq!(offered, ["publickey"]);
    assert!(shown.ends_with("the server takes none of these ways; give the host one for publickey"), "{shown}");
    let (tried, offered, shown) = refusal(&login(&sshd, "plain", vec![])).await;
    assert_eq!((tried.len(), offered), (0, vec!["publickey".to_owned()]), "{shown}");
    assert!(shown.contains("tried nothing, for no way to log in is given; the server accepts publickey;"), "{shown}");
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_said() {
    let sshd = Sshd::with_users_asking();
    let answers = |entries: &[(&str, &str)]| {
        let answer =
            |(question, answer): &(&str, &str)| Answer { question: (*question).into(), answer: secret(answer) };
        Auth::Interactive(entries.iter().map(answer).collect())
    };
    login(&sshd, "plain", vec![answers(&[("code", "000000"), ("password", PASSWORD)])]).check().await.unwrap();
    let (tried, offered, _) = refusal(&login(&sshd, "plain", vec![answers(&[("code", "000000")])])).await;
    assert_eq!(
        tried,
        ["keyboard-interactive without an answer to \"(plain@127.0.0.1) Password:\" (refused)"
            .replace("(plain@127.0.0.1) ", "")]
    );
    assert_eq!(offered, ["publickey", "keyboard-interactive"]);
    // And the next way is tried.
    login(&sshd, "plain", vec![answers(&[("code", "000000")]), password()]).check().await.unwrap();
    let (tried, ..) = refusal(&login(&sshd, "plain", vec![answers(&[("", "guess")])])).await;
    assert_eq!(tried, ["keyboard-interactive (refused)"]);
}
