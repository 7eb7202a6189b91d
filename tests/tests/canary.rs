//! No secret comes to light (I8, D9): not in the data folder, not in any output, not in process lists, not in job folders;
//! after success, failure and SIGKILL.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anneal_tests::anneal::{Anneal, Ended, files_below, piped};
use anneal_tests::binary::repository;
use anneal_tests::canary::{Canary, absent};
use anneal_tests::testbed::{Flavour, Host, archive};
use anneal_tests::until::{LONG, SOON, until};

/// Everything that is looked through while a test runs.
struct Search {
    canaries: Vec<Canary>,
    stop: Arc<AtomicBool>,
    processes: Option<JoinHandle<BTreeSet<Vec<u8>>>>,
}

impl Search {
    /// Begins to look at the process list of this machine.
    fn begin(canaries: &[&Canary]) -> Search {
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let processes = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !theirs.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                    seen.insert(std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
                }
                // Looking takes a core that others need.
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Search { canaries: canaries.iter().map(|canary| (*canary).clone()).collect(), stop, processes: Some(processes) }
    }

    fn said(&self, what: &str, ended: &Ended) {
        absent(&self.canaries, &format!("the output of {what}"), ended.all().as_bytes());
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }

    fn files(&self, folder: &Path) {
        let files = files_below(folder);
        assert!(!files.is_empty(), "nothing to look through in {}", folder.display());
        for (path, bytes) in &files {
            absent(&self.canaries, &path.display().to_string(), bytes);
            absent(&self.canaries, "a file's name", path.as_os_str().as_encoded_bytes());
        }
    }

    /// The data folder, and what every command says about an operation.
    fn all(&self, anneal: &Anneal, id: &str) {
        self.files(anneal.data());
        let of_store = [vec!["ops"], vec!["secret", "list"], vec!["store", "export"]];
        let of_operation = [vec!["show", id], vec!["logs", id], vec!["replay", id], vec!["export", id]];
        for args in of_store.into_iter().chain(of_operation) {
            for json in [&[][..], &["--json"]] {
                let ended = anneal.run(args.iter().chain(json));
                ended.must_be(0);
                self.said(&args.join(" "), &ended);
            }
        }
        self.files(anneal.data());
    }

    /// Looks at what was seen of this machine's processes.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.processes.take().expect("a thread").join().expect("a thread that ended");
        assert!(seen.iter().any(|line| line.windows(6).any(|part| part == b"anneal")), "nothing of ours was seen");
        for line in seen {
            absent(&self.canaries, &format!("a command line: {}", String::from_utf8_lossy(&line)), &line);
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The process list of a host, looked at as often as it can be until it is stopped.
struct HostProcesses<'a> {
    host: &'a Host,
    seen: Option<JoinHandle<Vec<u8>>>,
}

impl HostProcesses<'_> {
    fn begin(host: &Host) -> HostProcesses<'_> {
        let mut command = Command::new(repository("tests/testbed/testbed"));
        let look = "while [ ! -e /run/looked ]; do cat /proc/[0-9]*/cmdline 2>/dev/null; echo; sleep 0.01; done | tr '\\0' ' ' | sort -u";
        command.args(["exec", &host.info.name, "--", "sh", "-c", look]).stdin(Stdio::null());
        let seen = std::thread::spawn(move || command.output().expect("the testbed starts").stdout);
        HostProcesses { host, seen: Some(seen) }
    }

    fn end(mut self, canaries: &[Canary]) {
        self.host.sh(": >/run/looked");
        let seen = self.seen.take().expect("a thread").join().expect("a thread that ended");
        assert!(String::from_utf8_lossy(&seen).contains("sshd"), "nothing was seen");
        absent(canaries, "a command line of the host", &seen);
        self.host.sh("rm /run/looked");
    }
}

fn job_folders(host: &Host) -> Vec<u8> {
    let look = "find /var/lib/anneal /home/*/.local/state/anneal /root/.local/state/anneal /dev/shm -type f -print -exec cat {} + 2>/dev/null; :";
    host.sh(look).into_bytes()
}

/// The same while a job runs: there must be something to look through.
fn busy_job_folders(host: &Host) -> Vec<u8> {
    let found = job_folders(host);
    assert!(String::from_utf8_lossy(&found).contains("quiet.m.1.pid"), "no job folder was found on the host");
    found
}

const WORKFLOW: &str = "tests/workflows/canary.ron";

const INPUTS: &str = r#"
    inputs: { "word": Env("WORD"), "line": Sealed("the.line") },
"#;

/// An operator with the workflow's secrets, and `ANNEAL_LOG=trace`.
fn operator(word: &Canary, line: &Canary) -> Anneal {
    let anneal = Anneal::new().with_env("ANNEAL_LOG", "trace").with_env("WORD", &word.value);
    anneal.file("line", format!("{}\n", line.value));
    let sealed = anneal.expect(0, ["secret", "set", "the.line", "--from-file", "line"]);
    absent(std::slice::from_ref(line), "the output of secret set", sealed.all().as_bytes());
    anneal
}

fn run_args(workflow: &str, gate: &str, ending: u8) -> Vec<String> {
    let workflow = repository(workflow).to_string_lossy().into_owned();
    [
        "run",
        &workflow,
        "--inventory",
        "inv.ron",
        "--accept-new-host-keys",
        "--input",
        gate,
        "--input",
        &format!("ending={ending}"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What the filter made of what the script gave away.
fn filtered(logs: &Ended) {
    logs.says(&["word <secret>\n", "base64 <secret>", "line <secret>\n", "cannot log in with <secret>\n"]);
}

#[test]
fn on_this_machine_secrets_stay_secret_through_success_failure_and_sigkill() {
    let (word, line) = (Canary::new("the word"), Canary::new("the line"));
    let search = Search::begin(&[&word, &line]);
    for (ending, kill) in [(0, false), (7, false), (0, true)] {
        let anneal = operator(&word, &line);
        anneal.file("inv.ron", format!("Inventory(hosts: {{ \"m\": Local }}, {INPUTS})"));
        let gate = anneal.folder().join("gate");
        let running = anneal.start(run_args(WORKFLOW, &format!("gate={}", gate.display()), ending));
        let ready = gate.with_extension("ready");
        until("the job to be ready", SOON, || ready.exists().then_some(()));
        search.files(&anneal.local_jobs());
        search.files(anneal.data());
        let id = if kill {
            let ended = running.kill();
            search.said("run, killed", &ended);
            let id = anneal.operations().pop().expect("an operation");
            search.all(&anneal, &id);
            std::fs::write(&gate, "").expect("a gate");
            let ended = anneal.expect(0, ["resume", &id]);
            search.said("resume", &ended);
            id
        } else {
            std::fs::write(&gate, "").expect("a gate");
            let ended = running.wait(SOON);
            ended.must_be(i32::from(ending != 0));
            search.said("run", &ended);
            anneal.operations().pop().expect("an operation")
        };
        search.all(&anneal, &id);
        filtered(&anneal.expect(0, ["logs", &id, "leak"]));
        let sealed = anneal.data().join("secrets").join(&id).exists();
        assert_eq!(sealed, ending != 0, "sealed secrets are kept for as long as they are needed, and no longer");
    }
    search.end();
}

#[test]
fn on_a_host_passwords_and_passphrases_stay_secret() {
    let host = Host::up("canary", Flavour::Docker);
    let (word, line) = (Canary::new("the word"), Canary::new("the line"));
    let (password, passphrase, proxy) =
        (Canary::new("the SSH password"), Canary::new("the passphrase of the key"), Canary::new("the proxy password"));
    let proxy_url = format!("http://user:{}@proxy.test:3128", percent(&proxy.value));
    let anneal = operator(&word, &line).with_env("SSH_PASSWORD", &password.value).with_env("PROXY", &proxy_url);
    give_login(&host, &anneal, &password, &passphrase);
    let search = Search::begin(&[&word, &line, &password, &passphrase, &proxy]);
    let processes = HostProcesses::begin(&host);

    // By password, which sudo asks for too; the proxies' password goes where it belongs, and nowhere else.
    let address = host.address();
    anneal.file(
        "password.ron",
        format!(
            r#"Inventory(hosts: {{ "m": Ssh(address: "{address}", user: "operator", password: Env("SSH_PASSWORD")) }},
            roles: {{ "registry": ["m"] }},
            inputs: {{ "proxy.http": Env("PROXY"), "proxy.https": Env("PROXY") }})"#
        ),
    );
    let image = format!("image={}", archive().display());
    let install =
        ["run", "registry-install", "--inventory", "password.ron", "--accept-new-host-keys", "--input", &image];
    let ended = anneal.start(install).wait(LONG);
    ended.must_be(0);
    search.said("run registry-install", &ended);
    search.all(&anneal, &anneal.operations().pop().expect("an operation"));
    absent(&search.canaries, "the host's job folders", &job_folders(&host));

    // By a key with a passphrase; sudo's password by a command. Killed in the middle.
    anneal.file(
        "inv.ron",
        format!(
            r#"Inventory(hosts: {{ "m": Ssh(address: "{address}", user: "operator", key: "{key}",
            passphrase: File("passphrase"), sudo_password: Command(["cat", "password"])) }}, {INPUTS})"#,
            key = anneal.folder().join("work/id").display(),
        ),
    );
    let running = anneal.start(run_args("tests/workflows/canary-root.ron", "gate=/tmp/gate", 7));
    until("the job to be ready", SOON, || {
        host.try_exec(&["test", "-e", "/tmp/gate.ready"]).status.success().then_some(())
    });
    absent(&search.canaries, "the host's job folders", &busy_job_folders(&host));
    search.files(anneal.data());
    search.said("run, killed", &running.kill());
    let id = anneal.operations().pop().expect("an operation");
    search.all(&anneal, &id);
    host.sh(": >/tmp/gate");
    let ended = anneal.expect(1, ["resume", &id]);
    search.said("resume", &ended);
    search.all(&anneal, &id);
    filtered(&anneal.expect(0, ["logs", &id, "leak"]));

    // sudo's password is wrong: said, without it.
    let wrong = Canary::new("the wrong password");
    anneal.file("password", &wrong.value);
    let ended = anneal.expect(1, run_args("tests/workflows/canary-root.ron", "gate=/tmp/gate", 0));
    ended.says(&["sudo"]);
    search.said("run with a wrong password", &ended);
    absent(&[wrong], "the output", ended.all().as_bytes());

    processes.end(&search.canaries);
    search.end();
}

/// `operator` on the host with the password, and a key with the passphrase; both given to the operator here in files.
fn give_login(host: &Host, anneal: &Anneal, password: &Canary, passphrase: &Canary) {
    let mut chpasswd = Command::new(repository("tests/testbed/testbed"));
    chpasswd.args(["exec", &host.info.name, "--", "chpasswd", "--crypt-method", "SHA512"]);
    piped(&mut chpasswd, format!("operator:{}\n", password.value).as_bytes());
    anneal.file("password", &password.value);
    anneal.file("passphrase", &passphrase.value);
    let key = anneal.folder().join("work/id");
    let status =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", &passphrase.value, "-f"]).arg(&key).status();
    assert!(status.expect("ssh-keygen starts").success());
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("a key");
    host.sh(&format!(
        "mkdir -p -m 700 ~operator/.ssh && echo '{}' >~operator/.ssh/authorized_keys && chown -R operator ~operator/.ssh",
        public.trim()
    ));
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let word = Canary::new("the word");
    let anneal = Anneal::new().with_env("ANNEAL_LOG", "trace");
    anneal.file("line", "a line that is no secret of ours\n");
    anneal.file("inv.ron", "Inventory(hosts: { \"m\": Local }, inputs: { \"line\": File(\"line\") })");
    let workflow = repository(WORKFLOW).to_string_lossy().into_owned();
    let as_input = format!("word={}", word.value);
    let as_password = format!("m=user:{}@192.0.2.1", word.value);
    let cases = [
        (vec!["--inventory", "inv.ron", "--input", &as_input], "`word`"),
        (vec!["--host", &as_password], "a password may not stand on the command line"),
        (vec!["--host", "m=local", "--input", &word.value], "a name is missing"),
    ];
    for (more, why) in cases {
        let ended = anneal.expect(2, ["run", &workflow, "--input", "gate=x"].iter().chain(&more));
        absent(std::slice::from_ref(&word), "the output", ended.all().as_bytes());
        ended.says(&[why, "help: "]);
    }
    assert!(!anneal.data().exists(), "a store was made for nothing");
}
