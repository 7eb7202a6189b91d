//! An operator with an inventory of testbed hosts, who runs one of the examples.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anneal_tests::anneal::{Anneal, Ended};
use anneal_tests::binary::repository;
use anneal_tests::running::Running;
use anneal_tests::testbed::Host;

/// An example and who runs it.
pub struct Example {
    pub anneal: Anneal,
    file: String,
    inventory: String,
}

impl Example {
    /// `roles`: who fills which role.
    pub fn new(name: &str, roles: &[(&str, &[&Host])]) -> Example {
        let anneal = Anneal::new();
        let (mut hosts, mut filled) = (String::new(), String::new());
        for (role, members) in roles {
            for host in *members {
                let (name, address, key) = (short(host), host.address(), host.info.key.display());
                let line =
                    format!("        \"{name}\": Ssh(address: \"{address}\", user: \"ubuntu\", key: \"{key}\"),\n");
                // One that fills two roles stands there once.
                if !hosts.contains(&line) {
                    hosts += &line;
                }
            }
            let names: Vec<String> = members.iter().map(|host| format!("\"{}\"", short(host))).collect();
            filled += &format!("        \"{role}\": [{}],\n", names.join(", "));
        }
        let text = format!("Inventory(\n    hosts: {{\n{hosts}    }},\n    roles: {{\n{filled}    }},\n)\n");
        let inventory = anneal.file("inv.ron", text).to_string_lossy().into_owned();
        let file = repository(&format!("workflows/examples/{name}/{name}.ron")).to_string_lossy().into_owned();
        Example { anneal, file, inventory }
    }

    fn args<'a>(&'a self, inputs: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["run", &self.file, "--inventory", &self.inventory, "--accept-new-host-keys"];
        inputs.iter().for_each(|input| args.extend(["--input", input]));
        args
    }

    /// Runs it to its end, which must be this one.
    pub fn run(&self, code: i32, inputs: &[&str]) -> Ended {
        self.anneal.expect(code, self.args(inputs))
    }

    /// Starts it, with events on its standard output.
    pub fn start(&self, inputs: &[&str]) -> Running {
        let mut args = self.args(inputs);
        args.push("--json");
        self.anneal.start(args)
    }

    /// The newest operation.
    pub fn newest(&self) -> String {
        self.anneal.operations().pop().expect("an operation")
    }

    /// Gives up the newest operation, which has stopped and holds its instance.
    pub fn give_up(&self) {
        self.anneal.expect(0, ["fail", &self.newest(), "--reason", "the test goes on"]);
    }

    /// How a node of the newest operation stands, such as `skipped`.
    pub fn state(&self, node: &str) -> String {
        let view = self.anneal.json(["show", &self.newest(), "--json"]);
        let nodes = view["nodes"].as_array().expect("nodes");
        let found = nodes.iter().find(|one| one["id"] == node).unwrap_or_else(|| panic!("no {node} in {view}"));
        found["state"].as_str().expect("a state").to_owned()
    }
}

/// What the inventory calls a host: `t-web1-4711-0` is `web1`.
pub fn short(host: &Host) -> &str {
    host.info.name.split('-').nth(1).expect("a name of the testbed's")
}

/// What a GET of a path of the host's port 80 is answered with: status and body, `None` where nobody answers in time.
pub fn get(host: &Host, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((host.address(), 80)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: app\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// Does something, and something else again and again meanwhile.
pub fn meanwhile(mut again: impl FnMut() + Send, what: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looped = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                again();
            }
        });
        // However it ends, the other must end too.
        let ended = catch_unwind(AssertUnwindSafe(what));
        done.store(true, Ordering::Relaxed);
        looped.join().unwrap_or_else(|panic| resume_unwind(panic));
        ended.unwrap_or_else(|panic| resume_unwind(panic));
    });
}
