//! The tutorial is run as it is written: its files are written, its commands typed, and what they say is what the page shows.
//!
//! A ```` ```ron ```` block that begins with `// NAME` is the file NAME; a ```` ```console ```` block has commands, each behind `$ `, and under each what it
//! says. Ids, times and durations may differ, and lines of hosts that work side by side may come in another order. `UPDATE=1`
//! writes anew what differs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anneal_tests::anneal::Anneal;
use anneal_tests::binary;
use anneal_tests::snapshot::Normal;
use regex::Regex;

/// Where the page says that everything happens.
const FOLDER: &str = "/tmp/anneal-tutorial";

/// Where the page is read and its commands run.
struct Reader {
    anneal: Anneal,
    /// Each id on the page, and that of this run.
    ids: BTreeMap<String, String>,
    uuid: Regex,
}

impl Reader {
    fn new() -> Reader {
        let anneal = Anneal::new();
        std::fs::create_dir(anneal.folder().join("tutorial")).expect("a folder");
        let uuid = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").expect("a pattern");
        Reader { anneal, ids: BTreeMap::new(), uuid }
    }

    fn folder(&self) -> PathBuf {
        self.anneal.folder().join("tutorial")
    }

    fn here(&self, text: &str) -> String {
        let text = text.replace(FOLDER, &self.folder().to_string_lossy());
        self.ids.iter().fold(text, |text, (page, run)| text.replace(page, run).replace(end(page), end(run)))
    }

    fn as_on_page(&self, text: &str) -> String {
        let text = text.replace(&*self.folder().to_string_lossy(), FOLDER);
        self.ids.iter().fold(text, |text, (page, run)| text.replace(run, page).replace(end(run), end(page)))
    }

    /// Runs a command as a person does who sees both streams; what it says.
    fn says(&self, command: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 2>&1; eval \"$1\"", "sh", &self.here(command)]);
        let told = self.anneal.command([] as [&str; 0]);
        shell.env_clear().envs(told.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let bin = binary::path().parent().expect("a folder").to_owned();
        shell.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display())).current_dir(self.folder());
        let output = shell.output().expect("a shell");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the page should show for a command: what it shows, if it says the same.
    fn told(&mut self, command: &str, shown: &str) -> String {
        let said = self.says(command);
        for (page, run) in self.uuid.find_iter(shown).zip(self.uuid.find_iter(&said)) {
            self.ids.entry(page.as_str().to_owned()).or_insert_with(|| run.as_str().to_owned());
        }
        let said = self.as_on_page(&said);
        if normal(shown) == normal(&said) { shown.to_owned() } else { said }
    }

    /// A block of the page as it should be.
    fn block(&mut self, kind: &str, text: &str) -> String {
        if let Some(name) = text.strip_prefix("// ").and_then(|rest| rest.lines().next())
            && kind == "ron"
        {
            std::fs::write(self.folder().join(name), self.here(text)).expect("a file of the tutorial");
        }
        if kind != "console" {
            return text.to_owned();
        }
        let commands = text.strip_prefix("$ ").expect("a console block begins with a command").split("\n$ ");
        let mut whole = String::new();
        for part in commands {
            let (command, shown) = part.split_once('\n').unwrap_or((part, ""));
            let shown = if shown.is_empty() || shown.ends_with('\n') { shown.to_owned() } else { format!("{shown}\n") };
            whole += &format!("$ {command}\n{}", self.told(command, &shown));
        }
        whole
    }
}

/// The end of an id, as lists and hints show it.
fn end(id: &str) -> &str {
    &id[28..]
}

/// Without ids and times, and in one order.
fn normal(text: &str) -> Vec<String> {
    let text = Normal::new().of(text);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn the_tutorial_says_what_happens() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial.md");
    let page = std::fs::read_to_string(&path).expect("the tutorial");
    let mut reader = Reader::new();
    let (mut new, mut commands) = (String::new(), 0);
    for (at, part) in page.split("```").enumerate() {
        if at > 0 {
            new += "```";
        }
        match part.split_once('\n') {
            Some((kind, text)) if at % 2 == 1 => {
                commands += text.matches("$ ").count();
                new += &format!("{kind}\n{}", reader.block(kind, text));
            }
            _ => new += part,
        }
    }
    assert!(commands >= 15, "only {commands} commands");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &new).expect("the tutorial");
    }
    let page = std::fs::read_to_string(&path).expect("the tutorial");
    assert!(page == new, "the page shows what is not so (UPDATE=1 writes it anew)\n--- as it is now\n{new}");
}
