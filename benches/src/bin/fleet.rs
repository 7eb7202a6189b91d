//! Many hosts: 20 commands in order and an upload of 1 MiB on each of N hosts, by the real command with its durable journal and by
//! what people use today, in turns in one run. Then one command on 500 hosts.
//!
//! All of it – clients, servers, what runs in them – shares this machine's processors, so the wall time of many hosts is what
//! client and servers use of them together. CPU is that of the client's process tree.
//!
//! Usage: `fleet ANNEAL FOLDER PROGRAMS PEERS [--sizes 1,10,50,100] [--rounds R] [--only NAME,…] [--all] [--svg FILE]`. `--all` lets pyinfra,
//! OpenSSH's masters and Ansible run each round at each size; else the slow ones run once, and Ansible with up to 10 hosts.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anneal_benches::contestants::{Arena, Contestant, Work, noise};
use anneal_benches::group::{Cost, measure};
use anneal_benches::hosts::Hosts;
use anneal_benches::{Bound, Fallible, Row, head, median, plot};

const COMMANDS: usize = 20;
const PAYLOAD_BYTES: usize = 1 << 20;
/// Commands and the upload.
const STEPS: usize = COMMANDS + 1;
const MANY: usize = 500;

struct Asked {
    sizes: Vec<usize>,
    rounds: Option<usize>,
    only: Option<Vec<String>>,
    all: bool,
    svg: Option<PathBuf>,
}

/// What one contestant cost at one size, round by round.
#[derive(Default)]
struct Runs {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    servers: Vec<f64>,
    peak: Vec<f64>,
}

type Results = BTreeMap<(usize, Contestant), Runs>;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage =
        "usage: fleet ANNEAL FOLDER PROGRAMS PEERS [--sizes N,…] [--rounds R] [--only NAME,…] [--all] [--svg FILE]";
    let [anneal, folder, programs, peers, options @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let asked = asked(options).ok_or(usage)?;
    let folder = tempfile::tempdir_in(folder)?;
    let payload = folder.path().join("payload");
    fs::write(&payload, noise(PAYLOAD_BYTES))?;
    let most = asked.sizes.iter().copied().max().unwrap_or(1);
    let fleet = Hosts::start(folder.path(), if asked.only.is_none() { most.max(MANY) } else { most })?;
    let arena = Arena {
        fleet: &fleet,
        anneal: PathBuf::from(anneal).canonicalize()?,
        programs: PathBuf::from(programs).canonicalize()?,
        peers: PathBuf::from(peers),
        folder: folder.path().join("arena"),
    };
    let mut results = Results::new();
    for size in &asked.sizes {
        rounds(&arena, &asked, *size, &payload, &mut results)?;
    }
    table(&results);
    if let Some(svg) = &asked.svg {
        fs::write(svg, growth(&results))?;
    }
    if asked.only.is_some() {
        return Ok(());
    }
    head();
    let mut kept = bounds(&results);
    kept.push(five_hundred(&arena)?);
    if kept.iter().all(|kept| *kept) { Ok(()) } else { Err("a figure is over its bound".into()) }
}

fn asked(options: &[String]) -> Option<Asked> {
    let mut asked = Asked { sizes: vec![1, 10, 50, 100], rounds: None, only: None, all: false, svg: None };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.as_str() {
            "--all" => asked.all = true,
            "--sizes" => {
                asked.sizes = options.next()?.split(',').map(|size| size.parse().ok()).collect::<Option<_>>()?
            }
            "--rounds" => asked.rounds = Some(options.next()?.parse().ok()?),
            "--only" => asked.only = Some(options.next()?.split(',').map(str::to_owned).collect()),
            "--svg" => asked.svg = Some(PathBuf::from(options.next()?)),
            _ => return None,
        }
    }
    Some(asked)
}

fn rounds(arena: &Arena<'_>, asked: &Asked, size: usize, payload: &Path, results: &mut Results) -> Fallible<()> {
    use Contestant as C;
    let every = [C::Anneal, C::Asyncssh, C::AnnealReads, C::OneSession, C::Mux, C::Pyinfra, C::Ansible];
    let rounds = asked.rounds.unwrap_or(if size <= 10 { 5 } else { 3 });
    for round in 0..rounds {
        let mut order = every;
        order.rotate_left(round % every.len());
        for contestant in order {
            let named = |names: &Vec<String>| names.iter().any(|name| name == contestant.name());
            let slow = match contestant {
                C::Ansible => round > 0 || size > 10,
                C::Pyinfra | C::Mux => round > 0 && size >= 10,
                C::Anneal | C::AnnealReads | C::Asyncssh | C::OneSession => false,
            };
            if asked.only.as_ref().is_some_and(|names| !named(names)) || (slow && !asked.all) {
                continue;
            }
            let work = Work { hosts: size, commands: COMMANDS, payload: Some(payload) };
            let runs = results.entry((size, contestant)).or_default();
            match run(arena, contestant, work) {
                Ok((cost, servers)) => {
                    let (name, wall) = (contestant.name(), cost.wall.as_secs_f64());
                    eprintln!("({name} on {size} hosts: {wall:.2} s, {:.2} s of CPU)", cost.cpu.as_secs_f64());
                    runs.note(cost, servers);
                }
                Err(error) => {
                    eprintln!("{} on {size} hosts: {error}", contestant.name());
                    runs.note_failure();
                }
            }
        }
    }
    Ok(())
}

/// One run, and whether each host has what it should have.
fn run(arena: &Arena<'_>, contestant: Contestant, work: Work<'_>) -> Fallible<(Cost, f64)> {
    arena.fleet.clean()?;
    let command = arena.command(contestant, work)?;
    let before = arena.fleet.cpu()?;
    let cost = measure(&command)?;
    let servers = (arena.fleet.cpu()? - before).as_secs_f64();
    let marks: String = (0..work.commands).map(|number| format!("{number}\n")).collect();
    for host in 0..work.hosts {
        if fs::read_to_string(arena.fleet.file(host, "marks"))? != marks {
            return Err(format!("host {host} has not each mark once, in order").into());
        }
        if let Some(payload) = work.payload
            && fs::read(arena.fleet.file(host, "payload"))? != fs::read(payload)?
        {
            return Err(format!("host {host} has another payload").into());
        }
    }
    Ok((cost, servers))
}

impl Runs {
    fn note(&mut self, cost: Cost, servers: f64) {
        self.wall.push(cost.wall.as_secs_f64());
        self.cpu.push(cost.cpu.as_secs_f64());
        self.servers.push(servers);
        self.peak.push(cost.peak_mib);
    }

    /// A run that did not do the work has no figure, and breaks the bounds that need it.
    fn note_failure(&mut self) {
        for values in [&mut self.wall, &mut self.cpu, &mut self.servers, &mut self.peak] {
            values.push(f64::NAN);
        }
    }

    fn failed(&self) -> bool {
        self.wall.iter().any(|wall| wall.is_nan())
    }
}

fn table(results: &Results) {
    println!(
        "{:>5} {:<20} {:>4} {:>22} {:>8} {:>12} {:>10} {:>8}",
        "hosts", "contestant", "runs", "wall s (min-max)", "CPU s", "ms CPU/step", "hosts' CPU", "peak MiB"
    );
    for ((size, contestant), runs) in results {
        let (least, most) =
            runs.wall.iter().fold((f64::INFINITY, 0f64), |(least, most), wall| (least.min(*wall), most.max(*wall)));
        let (wall, cpu) = (median(runs.wall.clone()), median(runs.cpu.clone()));
        println!(
            "{size:>5} {:<20} {:>4} {:>22} {cpu:>8.2} {:>12.2} {:>10.2} {:>8.0}",
            contestant.name(),
            runs.wall.len(),
            format!("{wall:.2} ({least:.2}-{most:.2})"),
            cpu * 1e3 / (size * STEPS) as f64,
            median(runs.servers.clone()),
            median(runs.peak.clone()),
        );
    }
    println!();
}

fn bounds(results: &Results) -> Vec<bool> {
    use Contestant as C;
    let mut kept = Vec::new();
    let sizes: std::collections::BTreeSet<usize> = results.keys().map(|(size, _)| *size).collect();
    for size in sizes {
        let of = |contestant, values: fn(&Runs) -> &Vec<f64>| {
            let runs = results.get(&(size, contestant)).filter(|runs| !runs.failed());
            runs.map_or(f64::NAN, |runs| median(values(runs).clone()))
        };
        let wall = |contestant| of(contestant, |runs| &runs.wall);
        let cpu = |contestant| of(contestant, |runs| &runs.cpu) * 1e3 / (size * STEPS) as f64;
        let mut ratio = |what: &str, ours: f64, peer: f64, unit: &str, bound: f64| {
            let row = Row {
                what: format!("{size} hosts: {what}"),
                ours: format!("{ours:.2} {unit}"),
                peer: format!("{peer:.2} {unit}"),
                figure: ours / peer,
                bound: Bound::AtMost(bound),
            };
            kept.push(row.print());
        };
        ratio("CPU a step against asyncssh", cpu(C::Anneal), cpu(C::Asyncssh), "ms", 0.5);
        if size == 1 {
            ratio("wall against one ssh session", wall(C::Anneal), wall(C::OneSession), "s", 1.1);
        } else {
            ratio("wall against asyncssh", wall(C::Anneal), wall(C::Asyncssh), "s", 1.25);
            ratio("the same, steps that read", wall(C::AnnealReads), wall(C::Asyncssh), "s", 1.0);
        }
        if size == 100 {
            kept.push(memory("100 hosts: peak memory", of(C::Anneal, |runs| &runs.peak), 60.0));
        }
    }
    kept
}

fn memory(what: &str, mib: f64, bound: f64) -> bool {
    let row = Row {
        what: what.to_owned(),
        ours: format!("{mib:.0} MiB"),
        peer: "-".to_owned(),
        figure: mib,
        bound: Bound::AtMost(bound),
    };
    row.print()
}

fn five_hundred(arena: &Arena<'_>) -> Fallible<bool> {
    let work = Work { hosts: MANY, commands: 1, payload: None };
    Ok(match run(arena, Contestant::Anneal, work) {
        Ok((cost, _)) => memory(&format!("{MANY} hosts, one command: peak memory"), cost.peak_mib, 128.0),
        Err(error) => {
            eprintln!("{MANY} hosts: {error}");
            memory(&format!("{MANY} hosts, one command: peak memory"), f64::NAN, 128.0)
        }
    })
}

/// How CPU of the client and wall time grow with the number of hosts.
fn growth(results: &Results) -> String {
    let mut lines: BTreeMap<Contestant, (plot::Points, plot::Points)> = BTreeMap::new();
    for ((size, contestant), runs) in results.iter().filter(|(_, runs)| !runs.failed()) {
        let (wall, cpu) = lines.entry(*contestant).or_default();
        wall.push((*size as f64, median(runs.wall.clone())));
        cpu.push((*size as f64, median(runs.cpu.clone())));
    }
    let pick = |wall: bool| {
        lines
            .iter()
            .map(|(contestant, (walls, cpus))| plot::Line {
                name: contestant.name(),
                points: if wall { walls.clone() } else { cpus.clone() },
            })
            .collect::<Vec<_>>()
    };
    plot::svg("hosts", &[("wall time, s", pick(true)), ("client CPU, s", pick(false))])
}
