//! Who works on the fleet: each does the same commands in order on each host, and then brings it the same file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::Fallible;
use crate::hosts::{Hosts, WORK, address};

/// How many hosts a peer works on at once, where it wants to be told.
const AT_ONCE: usize = 50;

/// A contestant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    /// `anneal run` of a workflow, each step durable before the next, as it comes.
    Anneal,
    /// The same, with steps that say that they only read: no files on the host, no survival of the connection.
    AnnealReads,
    /// asyncssh in one Python process.
    Asyncssh,
    /// `ssh`, once for each host: all commands and the file in one session.
    OneSession,
    /// `ssh` through a master connection, once for each command.
    Mux,
    /// pyinfra.
    Pyinfra,
    /// ansible-core with pipelining and `raw`, its cheapest way.
    Ansible,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// On whom: so many of the hosts.
    pub hosts: usize,
    /// So many commands, in order.
    pub commands: usize,
    /// The file, where one is brought.
    pub payload: Option<&'a Path>,
}

/// Where everything is.
#[derive(Debug)]
pub struct Arena<'a> {
    /// The hosts.
    pub fleet: &'a Hosts,
    /// The release binary.
    pub anneal: PathBuf,
    /// The folder with the peers' programs.
    pub programs: PathBuf,
    /// What `setup.sh` printed: the folder that the peers are installed in.
    pub peers: PathBuf,
    /// For files of this run.
    pub folder: PathBuf,
}

#[derive(Serialize)]
struct Task<'a> {
    addresses: Vec<String>,
    port: u16,
    key: &'a Path,
    known_hosts: &'a Path,
    commands: Vec<String>,
    payload: Option<&'a Path>,
    to: String,
    at_once: usize,
}

impl Contestant {
    /// How the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Contestant::Anneal => "anneal",
            Contestant::AnnealReads => "anneal-reads",
            Contestant::Asyncssh => "asyncssh",
            Contestant::OneSession => "openssh-onesession",
            Contestant::Mux => "openssh-mux",
            Contestant::Pyinfra => "pyinfra",
            Contestant::Ansible => "ansible",
        }
    }
}

/// One command: a line in a file, so that who left one out is found out.
fn command(number: usize) -> String {
    format!("echo {number} >>{WORK}/marks")
}

impl Arena<'_> {
    /// The command that does the work.
    pub fn command(&self, contestant: Contestant, work: Work<'_>) -> Fallible<Command> {
        fs::create_dir_all(&self.folder)?;
        let task = Task {
            addresses: (0..work.hosts).map(address).collect(),
            port: self.fleet.port,
            key: &self.fleet.key,
            known_hosts: &self.fleet.known_hosts,
            commands: (0..work.commands).map(command).collect(),
            payload: work.payload,
            to: format!("{WORK}/payload"),
            at_once: AT_ONCE,
        };
        match contestant {
            Contestant::Anneal => self.anneal(&task, ""),
            Contestant::AnnealReads => self.anneal(&task, "reads: true, "),
            Contestant::Asyncssh => {
                let mut command = Command::new(self.peers.join("ssh/venv/bin/python"));
                command.arg(self.programs.join("asyncssh_fan.py")).arg(self.json(&task)?);
                Ok(command)
            }
            Contestant::OneSession => self.one_session(&task),
            Contestant::Mux => self.mux(&task),
            Contestant::Pyinfra => self.pyinfra(&task),
            Contestant::Ansible => self.ansible(&task),
        }
    }

    fn write(&self, name: &str, text: &str) -> Fallible<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn json(&self, task: &Task<'_>) -> Fallible<PathBuf> {
        self.write("task.json", &serde_json::to_string(task)?)
    }

    fn anneal(&self, task: &Task<'_>, more: &str) -> Fallible<Command> {
        let mut steps = String::new();
        for (number, command) in task.commands.iter().enumerate() {
            let needs = number.checked_sub(1).map(|before| format!("needs: [\"s{before}\"], ")).unwrap_or_default();
            writeln!(steps, "Step(id: \"s{number}\", on: \"fleet\", {needs}{more}do: Shell({command:?})),")?;
        }
        let mut inputs = "";
        if task.payload.is_some() {
            inputs = "inputs: {\"file\": File}, ";
            let (last, to) = (task.commands.len() - 1, &task.to);
            writeln!(
                steps,
                "Step(id: \"up\", on: \"fleet\", needs: [\"s{last}\"], do: Upload(from: \"${{{{ inputs.file }}}}\", to: {to:?})),"
            )?;
        }
        let workflow = format!("Workflow(name: \"fleet\", {inputs}roles: {{\"fleet\": Many}}, steps: [\n{steps}])");
        let mut hosts = String::new();
        for (number, address) in task.addresses.iter().enumerate() {
            let key = task.key.display();
            writeln!(
                hosts,
                "\"h{number}\": Ssh(address: {address:?}, port: {}, user: \"root\", key: \"{key}\"),",
                task.port
            )?;
        }
        let names: Vec<String> = (0..task.addresses.len()).map(|number| format!("\"h{number}\"")).collect();
        let inventory = format!("(hosts: {{\n{hosts}}}, roles: {{\"fleet\": [{}]}})", names.join(", "));
        // As a person has it: what OpenSSH knows, Anneal believes.
        let home = self.folder.join("home");
        fs::create_dir_all(home.join(".ssh"))?;
        fs::copy(task.known_hosts, home.join(".ssh/known_hosts"))?;
        let mut command = Command::new(&self.anneal);
        command.arg("run").arg(self.write("fleet.ron", &workflow)?);
        command.arg("--inventory").arg(self.write("inventory.ron", &inventory)?);
        if let Some(payload) = task.payload {
            command.arg("--input").arg(format!("file={}", payload.display()));
        }
        command.env("HOME", &home).env("ANNEAL_DATA_DIR", self.folder.join("data"));
        Ok(command)
    }

    fn ssh_config(&self, task: &Task<'_>) -> Fallible<PathBuf> {
        let text = format!(
            "BatchMode yes\nIdentitiesOnly yes\nIdentityFile {}\nUserKnownHostsFile {}\nStrictHostKeyChecking yes\nLogLevel ERROR\n",
            task.key.display(),
            task.known_hosts.display()
        );
        self.write("ssh_config", &text)
    }

    fn addresses(&self, task: &Task<'_>) -> Fallible<PathBuf> {
        self.write("addresses", &(task.addresses.join("\n") + "\n"))
    }

    fn one_session(&self, task: &Task<'_>) -> Fallible<Command> {
        let mut script = task.commands.join("\n");
        let mut input = PathBuf::from("/dev/null");
        if let Some(payload) = task.payload {
            write!(script, "\ncat >{}", task.to)?;
            input = payload.to_owned();
        }
        let each = r#"exec ssh -F "$1" -p "$2" "root@$5" "$3" <"$4""#;
        let mut command = self.at_once(&self.addresses(task)?);
        command.args(["sh", "-c", each, "sh"]).arg(self.ssh_config(task)?);
        command.args([&task.port.to_string(), &script]).arg(input);
        Ok(command)
    }

    fn mux(&self, task: &Task<'_>) -> Fallible<Command> {
        let each = r#"exec sh "$1" "$2" "$8" "$3" "$4" "$5" "$6" "$7""#;
        // A path of a socket is short.
        let sockets = std::env::temp_dir().join(format!("anneal-mux-{}", std::process::id()));
        fs::create_dir_all(&sockets)?;
        let mut command = self.at_once(&self.addresses(task)?);
        command.args(["sh", "-c", each, "sh"]).arg(self.programs.join("mux_fan.sh")).arg(sockets);
        command.arg(task.port.to_string()).arg(self.ssh_config(task)?);
        command.arg(task.payload.ok_or("mux_fan.sh brings a file")?).arg(&task.to);
        command.arg(self.write("commands", &(task.commands.join("\n") + "\n"))?);
        Ok(command)
    }

    /// `xargs`, which starts what follows for each address, [`AT_ONCE`] at a time.
    fn at_once(&self, addresses: &Path) -> Command {
        let mut command = Command::new("xargs");
        command.args(["-a"]).arg(addresses).args(["-n", "1", "-P", &AT_ONCE.to_string()]);
        command
    }

    fn pyinfra(&self, task: &Task<'_>) -> Fallible<Command> {
        let mut inventory = "fleet = [\n".to_owned();
        for address in &task.addresses {
            writeln!(
                inventory,
                "({address:?}, {{'ssh_port': {}, 'ssh_user': 'root', 'ssh_key': '{}', 'ssh_known_hosts_file': '{}', 'ssh_strict_host_key_checking': 'yes'}}),",
                task.port,
                task.key.display(),
                task.known_hosts.display()
            )?;
        }
        inventory.push_str("]\n");
        let mut command = Command::new(self.peers.join("ssh/venv/bin/pyinfra"));
        command
            .arg("-y")
            .args(["--parallel", &AT_ONCE.to_string()])
            .arg(self.write("pyinfra_inventory.py", &inventory)?);
        command.arg(self.programs.join("pyinfra_fan.py"));
        command.env("FLEET_TASK", self.json(task)?);
        Ok(command)
    }

    fn ansible(&self, task: &Task<'_>) -> Fallible<Command> {
        let mut inventory = "[fleet]\n".to_owned();
        for address in &task.addresses {
            writeln!(inventory, "{address} ansible_port={} ansible_user=root", task.port)?;
        }
        let mut play = "- hosts: fleet\n  gather_facts: false\n  tasks:\n".to_owned();
        for command in &task.commands {
            writeln!(play, "    - raw: {command}")?;
        }
        let payload = task.payload.ok_or("the play brings a file")?;
        writeln!(play, "    - copy: {{ src: {}, dest: {} }}", payload.display(), task.to)?;
        let known_hosts = task.known_hosts.display();
        let config = format!(
            "[defaults]\nforks = {AT_ONCE}\nprivate_key_file = {}\ninterpreter_python = /usr/bin/python3\n\
             [ssh_connection]\npipelining = true\nssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={known_hosts}\n\
             control_path_dir = {}\n",
            task.key.display(),
            std::env::temp_dir().join(format!("anneal-ansible-{}", std::process::id())).display(),
        );
        let mut command = Command::new(self.peers.join("ssh/venv/bin/ansible-playbook"));
        command.arg("-i").arg(self.write("ansible_hosts", &inventory)?).arg(self.write("fleet.yml", &play)?);
        command.env("ANSIBLE_CONFIG", self.write("ansible.cfg", &config)?);
        Ok(command)
    }
}

/// Bytes that do not compress: xorshift64.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}
