//! One large file to a host and back, against `sftp` and `scp`, in turns in one run: locally, and over a line on which each byte takes
//! 25 ms in either direction.
//!
//! What Anneal does is the real thing: durable journal, SHA-256 of the file before, on the host, and (a download) here, the file synced
//! before it takes its place. `sftp` and `scp` copy bytes; `sftp-checked` is what a script does that wants to be sure: `sftp`, then
//! `sha256sum` on both sides and `sync` where the file arrived.
//!
//! Usage: `upload ANNEAL FOLDER [--megabytes 1000] [--slow-megabytes 200] [--rounds 3]`

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anneal_benches::contestants::noise;
use anneal_benches::group::{Cost, measure};
use anneal_benches::hosts::{Hosts, WORK, address};
use anneal_benches::{Bound, Fallible, Row, head, median, proxy};

const ONE_WAY: Duration = Duration::from_millis(25);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

struct Arena<'a> {
    fleet: &'a Hosts,
    anneal: PathBuf,
    folder: PathBuf,
    payload: PathBuf,
    /// Who is reached where.
    line: (String, u16),
    ssh_config: PathBuf,
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: upload ANNEAL FOLDER [--megabytes M] [--slow-megabytes M] [--rounds R]";
    let [anneal, folder, options @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let (mut megabytes, mut slow_megabytes, mut rounds) = (1000, 200, 3);
    for option in options.chunks(2) {
        match option {
            [name, value] if name == "--megabytes" => megabytes = value.parse()?,
            [name, value] if name == "--slow-megabytes" => slow_megabytes = value.parse()?,
            [name, value] if name == "--rounds" => rounds = value.parse()?,
            _ => return Err(usage.into()),
        }
    }
    let folder = tempfile::tempdir_in(folder)?;
    let fleet = Hosts::start(folder.path(), 1)?;
    let server = SocketAddr::new(address(0).parse()?, fleet.port);
    let slow = proxy::delayed(server, ONE_WAY)?;
    head();
    let mut kept = Vec::new();
    for (what, line, megabytes) in
        [("", (address(0), fleet.port), megabytes), (", 50 ms", ("127.0.0.1".to_owned(), slow), slow_megabytes)]
    {
        let mut arena = Arena {
            fleet: &fleet,
            anneal: PathBuf::from(anneal).canonicalize()?,
            folder: folder.path().canonicalize()?,
            payload: folder.path().canonicalize()?.join("payload"),
            line,
            ssh_config: PathBuf::new(),
        };
        arena.prepare(megabytes)?;
        for way in [Way::There, Way::Back] {
            kept.push(arena.compare(way, what, megabytes, rounds)?);
        }
    }
    if kept.iter().all(|kept| *kept) { Ok(()) } else { Err("a figure is over its bound".into()) }
}

impl Arena<'_> {
    fn prepare(&mut self, megabytes: usize) -> Fallible<()> {
        fs::write(&self.payload, noise(megabytes * 1_000_000))?;
        let key = fs::read_to_string(&self.fleet.known_hosts)?;
        let key = key.split_once(' ').ok_or("a file of known hosts")?.1;
        let (address, port) = &self.line;
        let home = self.folder.join("home");
        fs::create_dir_all(home.join(".ssh"))?;
        let known_hosts = home.join(".ssh/known_hosts");
        fs::write(&known_hosts, format!("[{address}]:{port} {key}"))?;
        let config = format!(
            "BatchMode yes\nIdentitiesOnly yes\nIdentityFile {}\nUserKnownHostsFile {}\nStrictHostKeyChecking yes\nLogLevel ERROR\n",
            self.fleet.key.display(),
            known_hosts.display()
        );
        self.ssh_config = self.folder.join("ssh_config");
        fs::write(&self.ssh_config, config)?;
        let inventory = format!(
            "(hosts: {{\"host\": Ssh(address: {address:?}, port: {port}, user: \"root\", key: \"{}\")}})",
            self.fleet.key.display()
        );
        Ok(fs::write(self.folder.join("inventory.ron"), inventory)?)
    }

    fn compare(&self, way: Way, what: &str, megabytes: usize, rounds: usize) -> Fallible<bool> {
        let names = ["anneal", "sftp", "scp", "sftp-checked"];
        let mut wall: [Vec<f64>; 4] = Default::default();
        let mut cpu: [Vec<f64>; 4] = Default::default();
        for round in 0..rounds {
            for turn in 0..names.len() {
                let who = (turn + round) % names.len();
                let cost = self.run(names[who], way)?;
                wall[who].push(cost.wall.as_secs_f64());
                cpu[who].push(cost.cpu.as_secs_f64());
            }
        }
        let [anneal, sftp, scp, checked] = wall.map(median);
        let [anneal_cpu, sftp_cpu, scp_cpu, _] = cpu.map(median);
        let direction = if way == Way::There { "upload" } else { "download" };
        let rate = |seconds: f64| megabytes as f64 / seconds;
        let row = |peer: f64, name: &str| Row {
            what: format!("{direction} of {megabytes} MB{what}"),
            ours: format!("{:.0} MB/s", rate(anneal)),
            peer: format!("{:.0} MB/s {name}", rate(peer)),
            figure: anneal / peer,
            bound: Bound::AtMost(1.0),
        };
        let fastest = if sftp < scp { row(sftp, "sftp") } else { row(scp, "scp") };
        let kept = [fastest.print(), row(checked, "sftp-checked").print()];
        println!(
            "(wall: anneal {anneal:.2} s, sftp {sftp:.2} s, scp {scp:.2} s; client CPU: {anneal_cpu:.2}, {sftp_cpu:.2}, {scp_cpu:.2} s)"
        );
        Ok(kept == [true, true])
    }

    /// One run; what has arrived is compared.
    fn run(&self, who: &str, way: Way) -> Fallible<Cost> {
        self.fleet.clean()?;
        let here = self.folder.join("arrived");
        let there = format!("{WORK}/payload");
        let target = match way {
            Way::There => self.fleet.file(0, "payload"),
            Way::Back => here.clone(),
        };
        if way == Way::Back {
            fs::copy(&self.payload, self.fleet.file(0, "payload"))?;
            if here.exists() {
                fs::remove_file(&here)?;
            }
        }
        let command = match who {
            "anneal" => self.anneal(way, &there, &here)?,
            "scp" => {
                let mut command = Command::new("scp");
                command.arg("-q").arg("-F").arg(&self.ssh_config).args(["-P", &self.line.1.to_string()]);
                let there = format!("root@{}:{there}", self.line.0);
                match way {
                    Way::There => command.arg(&self.payload).arg(there),
                    Way::Back => command.arg(there).arg(&here),
                };
                command
            }
            _ => self.sftp(way, &there, &here, who == "sftp-checked")?,
        };
        // What earlier runs wrote is not written while this one is measured.
        anneal_benches::host::run(&mut Command::new("sync"))?;
        let cost = measure(&command)?;
        anneal_benches::host::run(Command::new("cmp").arg(&self.payload).arg(&target))?;
        Ok(cost)
    }

    fn sftp(&self, way: Way, there: &str, here: &Path, checked: bool) -> Fallible<Command> {
        let batch = match way {
            Way::There => format!("put {} {there}\n", self.payload.display()),
            Way::Back => format!("get {there} {}\n", here.display()),
        };
        let file = self.folder.join("batch");
        fs::write(&file, batch)?;
        let mut script = r#"sftp -q -F "$1" -P "$2" -b "$3" "$4""#.to_owned();
        let arrived = if way == Way::There { &self.payload } else { here };
        if checked {
            let (sync_there, sync_here) = match way {
                Way::There => (format!("&& sync {there} {WORK}"), ""),
                Way::Back => (String::new(), r#"&& sync "$5""#),
            };
            let there = format!(r#"$(ssh -F "$1" -p "$2" "$4" "sha256sum <{there} {sync_there}")"#);
            write!(script, r#" && there={there} && [ "$there" = "$(sha256sum <"$5")" ] {sync_here}"#)?;
        }
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(&self.ssh_config).arg(self.line.1.to_string()).arg(file);
        command.arg(format!("root@{}", self.line.0)).arg(arrived);
        Ok(command)
    }

    fn anneal(&self, way: Way, there: &str, here: &Path) -> Fallible<Command> {
        let workflow = self.folder.join("file.ron");
        let (inputs, step) = match way {
            Way::There => {
                ("inputs: {\"file\": File}, ", format!("Upload(from: \"${{{{ inputs.file }}}}\", to: {there:?})"))
            }
            Way::Back => ("", format!("Download(from: {there:?}, to: {:?})", here.display().to_string())),
        };
        let text = format!(
            "Workflow(name: \"file\", {inputs}roles: {{\"host\": One}}, steps: [Step(id: \"f\", on: \"host\", do: {step})])"
        );
        fs::write(&workflow, text)?;
        let mut command = Command::new(&self.anneal);
        command.arg("run").arg(&workflow).arg("--inventory").arg(self.folder.join("inventory.ron"));
        if way == Way::There {
            command.arg("--input").arg(format!("file={}", self.payload.display()));
        }
        command.env("HOME", self.folder.join("home")).env("ANNEAL_DATA_DIR", self.folder.join("data"));
        Ok(command)
    }
}
