//! The engine is killed, and the host restarted, at every kind of moment of an installation; afterwards the registry
//! serves, and nothing was done twice unless the journal says why.
//!
//! What was done is counted on the host, by wrappers around the programs with effects, and compared with the journal:
//! - what ran was intended first (I1), and no attempt ran twice (I4);
//! - a node that is recorded as succeeded never runs again (I2);
//! - a further attempt follows a failure with its retry, or an unknown outcome that was decided.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anneal_tests::anneal::Anneal;
use anneal_tests::journal::{self, Entry, Event, NodeId};
use anneal_tests::registry;
use anneal_tests::running::Running;
use anneal_tests::testbed::{Flavour, Host, archive};
use anneal_tests::until::LONG;

/// When it happens.
enum When {
    /// Right after an event is seen.
    Started(&'static str),
    Succeeded(&'static str),
    /// While a process on the host works: it is stopped, then it happens, then the process goes on.
    Inside(&'static str),
    /// While a step waits for a process on the host that is stopped.
    Awaits(&'static str, &'static str),
}

/// What happens.
enum What {
    /// The engine is killed.
    Kill,
    /// The host is restarted, and the engine lives.
    Reboot,
    /// The engine is killed, and the host restarted.
    Both,
}

struct Moment {
    name: &'static str,
    flavour: Flavour,
    when: When,
    what: What,
}

const DPKG_UNPACKS: &str = "^/usr/bin/dpkg .*--unpack";
const DOCKER_LOAD: &str = "^/usr/bin/docker load";
const DOCKER_RUN: &str = "^/usr/bin/docker run";
const REGISTRY: &str = "^registry serve";

/// The long ones first, so that both workers end at about the same time.
const MOMENTS: [Moment; 13] = [
    moment("reboot while dpkg unpacks", Flavour::Bare, When::Inside(DPKG_UNPACKS), What::Reboot),
    moment("kill while dpkg unpacks", Flavour::Bare, When::Inside(DPKG_UNPACKS), What::Kill),
    moment("kill as container_engine starts", Flavour::Bare, When::Started("container_engine"), What::Kill),
    moment("kill as container_engine has succeeded", Flavour::Bare, When::Succeeded("container_engine"), What::Kill),
    moment("kill and reboot inside docker load", Flavour::Docker, When::Inside(DOCKER_LOAD), What::Both),
    moment("reboot inside docker run", Flavour::Docker, When::Inside(DOCKER_RUN), What::Reboot),
    moment("kill as reachable starts", Flavour::Docker, When::Started("reachable"), What::Kill),
    moment("kill as upload_image starts", Flavour::Docker, When::Started("upload_image"), What::Kill),
    moment("kill as load_image starts", Flavour::Docker, When::Started("load_image"), What::Kill),
    moment("kill inside docker load", Flavour::Docker, When::Inside(DOCKER_LOAD), What::Kill),
    moment("kill as run starts", Flavour::Docker, When::Started("run"), What::Kill),
    moment("kill inside docker run", Flavour::Docker, When::Inside(DOCKER_RUN), What::Kill),
    moment("kill inside serving", Flavour::Docker, When::Awaits("serving", REGISTRY), What::Kill),
];

const fn moment(name: &'static str, flavour: Flavour, when: When, what: What) -> Moment {
    Moment { name, flavour, when, what }
}

/// Notes each call with its job's mark (`operation/node/attempt`), then does it.
const WRAPPER: &str = r#"#!/bin/sh
echo "${ANNEAL_JOB:-nobody} PROGRAM $*" >>/var/log/calls
exec /usr/bin/PROGRAM "$@"
"#;

const INVENTORY: &str = r#"Inventory(
    hosts: { "reg": Ssh(address: "ADDRESS", user: "ubuntu", password: Env("REG_PASSWORD")) },
    roles: { "registry": ["reg"] },
)"#;

/// The calls with an effect, by the step that makes them.
const EFFECTS: [(&str, &str); 4] = [
    ("container_engine", "apt-get update"),
    ("container_engine", "apt-get install"),
    ("load_image", "docker load"),
    ("run", "docker run"),
];

/// What came of a moment.
struct Row {
    name: &'static str,
    attempts: String,
    executions: String,
    resumes: usize,
    took_s: u64,
}

#[test]
fn whatever_moment_the_engine_or_the_host_dies_at_the_installation_completes_and_nothing_is_done_twice_unnoticed() {
    let only = std::env::var("MOMENT").unwrap_or_default();
    let moments: Vec<&Moment> = MOMENTS.iter().filter(|moment| moment.name.contains(&only)).collect();
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let worker = || {
            while let Some(moment) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
                let row = std::panic::catch_unwind(|| survive(moment)).map_err(|_| moment.name);
                rows.lock().unwrap().push(row);
            }
        };
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let rows = rows.into_inner().unwrap();
    let table = table(&rows);
    println!("{table}");
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash.txt"), &table).expect("a table");
    let failed: Vec<&str> = rows.iter().filter_map(|row| row.as_ref().err().copied()).collect();
    assert!(failed.is_empty(), "not survived (why stands above): {}\n{table}", failed.join("; "));
}

fn survive(moment: &Moment) -> Row {
    let began = Instant::now();
    let host = Host::up("crash", moment.flavour);
    for program in ["docker", "apt-get"] {
        host.install(&format!("/usr/local/bin/{program}"), &WRAPPER.replace("PROGRAM", program));
    }
    let anneal = Anneal::new().with_env("REG_PASSWORD", "ubuntu");
    let inventory = anneal.file("inv.ron", INVENTORY.replace("ADDRESS", host.address()));
    let image = format!("image={}", archive().display());
    let inventory = inventory.to_string_lossy();
    let args =
        ["run", "registry-install", "--json", "--accept-new-host-keys", "--inventory", &inventory, "--input", &image];
    let running = anneal.start(args);

    match moment.when {
        When::Started(step) => drop(running.event(moment.name, LONG, journal::started(step))),
        When::Succeeded(step) => drop(running.event(moment.name, LONG, journal::succeeded(step))),
        When::Inside(process) => host.freeze(process),
        When::Awaits(step, process) => {
            host.freeze(process);
            drop(running.event(moment.name, LONG, journal::started(step)));
        }
    }
    let code = happen(moment, &host, running);
    let id = anneal.operations().pop().unwrap_or_else(|| panic!("{}: the operation is not there", moment.name));
    let (mut code, mut resumes) = (code, 0);
    while code != Some(0) {
        assert!(resumes < 1, "{}: it ended with {code:?} although it was resumed", moment.name);
        let ended = anneal.start(["resume", &id, "--json"]).wait(LONG);
        assert!(ended.code == 0, "{}: resume ended with {}\n{}", moment.name, ended.code, ended.all());
        (code, resumes) = (Some(ended.code), resumes + 1);
    }
    assert!(registry::answers(&format!("{}:5000", host.address())), "{}: no registry answers", moment.name);

    let journal = anneal.journal(&id);
    let attempts = attempts(&journal).unwrap_or_else(|why| panic!("{}: {why}\n{journal:#?}", moment.name));
    let calls = host.sh("cat /var/log/calls 2>/dev/null || :");
    let executions = executions(&calls, &id, &attempts).unwrap_or_else(|why| panic!("{}: {why}\n{calls}", moment.name));
    let containers = host.sh("docker ps --all --quiet | wc -l");
    assert_eq!(containers.trim(), "1", "{}: containers", moment.name);
    let took_s = began.elapsed().as_secs();
    let more = attempts.iter().filter(|(_, list)| list.len() > 1);
    let more: Vec<String> = more.map(|(node, list)| format!("{} {}", node.step, list.join(" → "))).collect();
    Row { name: moment.name, attempts: more.join(", "), executions, resumes, took_s }
}

/// Lets it happen; the exit code of the engine where it lived.
fn happen(moment: &Moment, host: &Host, running: Running) -> Option<i32> {
    let thaw = || {
        if let When::Inside(_) | When::Awaits(..) = moment.when {
            host.thaw();
        }
    };
    match moment.what {
        What::Kill => {
            running.kill();
            thaw();
            None
        }
        What::Both => {
            running.kill();
            host.reboot();
            None
        }
        What::Reboot => {
            host.reboot();
            Some(running.wait(LONG).code)
        }
    }
}

/// How each attempt of each node ended; or which one the journal does not justify.
fn attempts(journal: &[Entry]) -> Result<BTreeMap<NodeId, Vec<String>>, String> {
    let mut nodes: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    for Entry { seq, event, .. } in journal {
        let (node, end) = match event {
            Event::Started { node, attempt, .. } => {
                let list = nodes.entry(node.clone()).or_default();
                if list.len() as u32 + 1 != *attempt {
                    return Err(format!("{node} attempt {attempt} follows {} others (entry {seq})", list.len()));
                }
                match list.last().map(String::as_str) {
                    None => {}
                    Some(last) if last.ends_with("rerun") || last.ends_with("retried") => {}
                    Some(last) => {
                        return Err(format!("{node} attempt {attempt} follows one that is `{last}` (entry {seq})"));
                    }
                }
                list.push("running".to_owned());
                continue;
            }
            // A person went on after a failure.
            Event::Retried { .. } => {
                let lasts = nodes.values_mut().filter_map(|list| list.last_mut());
                lasts.filter(|last| last.starts_with("failed")).for_each(|last| last.push_str(", retried"));
                continue;
            }
            Event::Succeeded { node, proof, .. } => (node, format!("succeeded ({proof:?})")),
            Event::Failed { node, failure, .. } => (node, format!("failed: {}", failure.message)),
            Event::RetryAt { node, .. } => (node, "retried".to_owned()),
            Event::Indeterminate { node, why, .. } => (node, format!("{why:?}")),
            Event::Decided { node, decision, .. } => (node, format!("{decision:?}").to_lowercase()),
            Event::Skipped { node, .. } if nodes.contains_key(node) => (node, "already so".to_owned()),
            _ => continue,
        };
        let last =
            nodes.get_mut(node).and_then(|list| list.last_mut()).ok_or(format!("{node} ended without having begun"))?;
        match (last.as_str(), end.as_str()) {
            ("running", end) => *last = end.to_owned(),
            (_, "rerun" | "retried" | "done") => write!(last, ", {end}").expect("a text"),
            (was, end) => return Err(format!("{node} is `{was}`, then `{end}` (entry {seq})")),
        }
    }
    Ok(nodes)
}

/// The calls with effects, counted by attempt; or which one should not have been made.
fn executions(calls: &str, id: &str, attempts: &BTreeMap<NodeId, Vec<String>>) -> Result<String, String> {
    let mut counted: BTreeMap<(&str, &str, usize), usize> = BTreeMap::new();
    for line in calls.lines() {
        let Some((mark, call)) = line.split_once(' ') else { continue };
        let Some((step, effect)) = EFFECTS.iter().find(|(_, effect)| call.starts_with(effect)) else { continue };
        let mut parts = mark.split('/');
        let (Some(operation), Some(node), Some(attempt)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("`{line}` was called by nobody that we know"));
        };
        let attempt: usize = attempt.parse().map_err(|_| format!("`{line}` names no attempt"))?;
        if operation != id || node != format!("{step}.reg") {
            return Err(format!("`{line}` was called by another job than `{step}`"));
        }
        let node = NodeId { step: (*step).to_owned(), key: "reg".to_owned() };
        if attempts.get(&node).is_none_or(|list| attempt > list.len()) {
            return Err(format!("`{line}` was not intended (I1)"));
        }
        *counted.entry((step, effect, attempt)).or_default() += 1;
    }
    if let Some(((step, effect, attempt), count)) = counted.iter().find(|(_, count)| **count > 1) {
        return Err(format!("attempt {attempt} of `{step}` called `{effect}` {count} times"));
    }
    for (node, list) in attempts {
        let ran = counted.iter().any(|((step, _, attempt), _)| node.step == *step && *attempt == list.len());
        let has_effect = EFFECTS.iter().any(|(step, _)| node.step == *step);
        if has_effect && !ran && list.last().is_some_and(|last| last == "succeeded (Action)") {
            return Err(format!("{node} is recorded as done, but nothing was done"));
        }
    }
    let texts: Vec<String> = counted.keys().map(|(_, effect, attempt)| format!("{effect} #{attempt}")).collect();
    Ok(texts.join(", "))
}

fn table(rows: &[Result<Row, &str>]) -> String {
    let mut text =
        format!("{:<40} {:>7} {:>6}  {:<60} executions on the host\n", "moment", "resumes", "took", "further attempts");
    for row in rows {
        match row {
            Ok(Row { name, attempts, executions, resumes, took_s }) => {
                let attempts = if attempts.is_empty() { "none" } else { attempts };
                writeln!(text, "{name:<40} {resumes:>7} {took_s:>4} s  {attempts:<60} {executions}").expect("a text");
            }
            Err(name) => writeln!(text, "{name:<40} FAILED").expect("a text"),
        }
    }
    text
}
