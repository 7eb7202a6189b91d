//! The command as a person meets it: how fast it starts, and how fast 20 commands run on one host, against OpenSSH's client
//! doing the same, alternating in one run; and how large the binary is.
//!
//! Usage: `commands ANNEAL HOST`: the path of the release binary, and a line of `tests/testbed/testbed up NAME`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anneal_benches::host::{Host, run};
use anneal_benches::{Bound, Fallible, Row, head, median, time};

const COMMANDS: usize = 20;

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(anneal), Some(host)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return Err("usage: commands ANNEAL HOST".into());
    };
    let host = Host::parse(&host)?;
    head();
    let kept = [startup(&anneal)?.print(), twenty(&anneal, &host)?.print(), size(&anneal)?.print()];
    if kept.iter().all(|kept| *kept) { Ok(()) } else { Err("a figure is over its bound".into()) }
}

fn startup(anneal: &Path) -> Fallible<Row> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..101 {
        ours.push(time(|| run(Command::new(anneal).arg("--version")))?.as_secs_f64());
        peer.push(time(|| run(Command::new("ssh").arg("-V")))?.as_secs_f64());
    }
    Ok(row("anneal --version against ssh -V", median(ours), median(peer), 2.0))
}

fn twenty(anneal: &Path, host: &Host) -> Fallible<Row> {
    let folder = tempfile::tempdir()?;
    let workflow = folder.path().join("twenty.ron");
    let inventory = folder.path().join("inventory.ron");
    let steps: String = (0..COMMANDS)
        .map(|step| {
            let needs = step.checked_sub(1).map(|before| format!("needs: [\"s{before}\"], ")).unwrap_or_default();
            format!("Step(id: \"s{step}\", on: \"host\", {needs}do: Run([\"true\"])),\n")
        })
        .collect();
    fs::write(&workflow, format!("Workflow(name: \"twenty\", roles: {{\"host\": One}}, steps: [\n{steps}])"))?;
    fs::write(
        &inventory,
        format!(
            "(hosts: {{\"host\": Ssh(address: \"{}\", port: {}, user: \"{}\", key: \"{}\")}})",
            host.address,
            host.port,
            host.user,
            host.key.display()
        ),
    )?;
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".ssh"))?;
    let known_hosts = home.join(".ssh/known_hosts");
    run(host.ssh(&known_hosts).arg("true").stdin(Stdio::null()))?;
    let script = "true\n".repeat(COMMANDS);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        ours.push(
            time(|| {
                let mut command = Command::new(anneal);
                command.arg("run").arg(&workflow).arg("--inventory").arg(&inventory);
                command.env("HOME", &home).env("ANNEAL_DATA_DIR", folder.path().join("data"));
                run(&mut command)
            })?
            .as_secs_f64(),
        );
        peer.push(time(|| run(host.ssh(&known_hosts).arg(&script).stdin(Stdio::null())))?.as_secs_f64());
    }
    Ok(row(&format!("{COMMANDS} commands on a host against one ssh session"), median(ours), median(peer), 1.5))
}

fn size(anneal: &Path) -> Fallible<Row> {
    let megabytes = fs::metadata(anneal)?.len() as f64 / 1e6;
    Ok(Row {
        what: "release binary, MB".to_owned(),
        ours: format!("{megabytes:.1} MB"),
        peer: "-".to_owned(),
        figure: megabytes,
        bound: Bound::AtMost(25.0),
    })
}

fn row(what: &str, ours: f64, peer: f64, bound: f64) -> Row {
    Row {
        what: what.to_owned(),
        ours: format!("{:.1} ms", ours * 1e3),
        peer: format!("{:.1} ms", peer * 1e3),
        figure: ours / peer,
        bound: Bound::AtMost(bound),
    }
}
