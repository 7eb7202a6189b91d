//! Whatever stands in an inventory: an error that says where, never a panic, never a hang, never a value of the file in a message.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::load::load;
use super::tree::Tree;
use super::vault::Password;
use crate::report::Problem;

/// Far more than any of it takes on a busy machine, far less than a hang.
const SOON: Duration = Duration::from_secs(60);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn load(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<Tree, Problem> {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        let begun = Instant::now();
        let found = load(&path, &Password::new(Some(self.0.path().join("no-password"))));
        assert!(begun.elapsed() < SOON, "{name} took {:?}", begun.elapsed());
        found
    }

    fn says(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        self.load(name, bytes).unwrap_err().message
    }
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    let folder = Folder::new();
    let bomb = |name: &str, width: usize, depth: usize| {
        let mut text = format!("x0: &x0 [{}]\n", vec!["lol"; width].join(", "));
        for level in 1..depth {
            text += &format!("x{level}: &x{level} [{}]\n", vec![format!("*x{}", level - 1); width].join(", "));
        }
        folder.says(name, text)
    };
    assert!(bomb("bomb.yml", 10, 12).contains("with its aliases written out"));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1_000].join(", "));
    assert!(folder.says("long.yml", long).contains("with its aliases written out"));
    assert!(folder.says("deep.yml", "[".repeat(200_000)).contains("deep.yml:1:"));
    assert!(
        folder
            .says(
                "deep2.yml",
                "a:\n".repeat(1).to_owned() + &(1..300).map(|n| " ".repeat(n) + "a:\n").collect::<String>()
            )
            .contains("deep2.yml:")
    );
    assert!(folder.says("self.yml", "all: &a\n  children: {g: *a}\n").contains("inside of what it stands for"));
    assert!(folder.says("large.ini", vec![b'a'; 50 << 20]).contains("52428800 bytes; 4194304 are the most"));
    assert!(folder.says("range.ini", "[g]\nh[1:999999999]\n").contains("range.ini:2"));
    assert!(folder.says("range.yml", "all: {hosts: {'h[1:999999999]': }}\n").contains("more than 10000 hosts"));
    let many: String = (0..10_001).map(|n| format!("h{n}\n")).collect();
    assert!(folder.says("hosts.ini", many).contains("more than 10000 hosts"));
    let many: String = (0..10_001).map(|n| format!("[g{n}]\n")).collect();
    assert!(folder.says("groups.ini", many).contains("more than 10000 groups"));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let folder = Folder::new();
    for (name, bytes, says) in [
        ("utf8.ini", &b"[g]\nok\n\xff\xfe\n"[..], "utf8.ini:3"),
        ("utf8.yml", b"all:\n  hosts: {\xc3: }\n", "utf8.yml:2"),
        ("plugin.yml", b"plugin: aws_ec2\n", "inventory plugin"),
        ("empty.yml", b"", "a map of groups"),
        ("anchor.yml", b"all: *nobody\n", "anchor.yml:1:6"),
        ("tag.yml", b"all: {vars: {a: !weird x}}\n", "tag is not known"),
        ("key.yml", b"all: {vars: {[a]: x}}\n", "key"),
        ("merge.yml", b"all: {vars: {<<: 5}}\n", "merges a map"),
        ("priority.ini", b"[g]\nh\n[g:vars]\nansible_group_priority=high\n", "priority.ini:4"),
        ("vault.yml", b"$ANSIBLE_VAULT;1.1;AES256\n00\n", "damaged"),
        ("vault2.yml", b"$ANSIBLE_VAULT;9;ROT13\n00\n", "format of ansible-vault"),
        ("list.toml", b"[web]\n", "TOML"),
        ("dashes.ini", b"---\nall:\n", "dashes.ini:1"),
        ("control.yml", b"all: {hosts: {\"a\\u0007b\": }}\n", "control character"),
    ] {
        let found = folder.says(name, bytes);
        assert!(found.contains(says) && found.contains(name), "{name}: {found}");
    }
    assert!(
        load(Path::new("/nowhere/hosts.ini"), &Password::default()).unwrap_err().message.contains("cannot be read")
    );
    assert!(load(Path::new("/dev/null"), &Password::default()).unwrap_err().message.contains("no file"));
}

/// Files with bytes changed, cut and doubled at random; the seed is the round.
#[test]
fn no_file_brings_a_reader_down() {
    let folder = Folder::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ansible");
    let mut seeds: u64 = 0;
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() || path.extension().is_some_and(|extension| extension == "sh") {
            continue;
        }
        let text = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for _ in 0..20 {
            seeds += 1;
            let mut random = fastrand::Rng::with_seed(seeds);
            let mut bytes = text.clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(0..=bytes.len());
                match random.u8(0..4) {
                    0 => bytes.insert(at, *random.choice(b"[]{}:&*!|>'\"#=\\\n -%@,\xc3").unwrap()),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    2 => bytes.truncate(at),
                    _ => bytes.extend_from_within(at..),
                }
            }
            drop(folder.load(name, bytes));
        }
    }
    assert!(seeds > 500, "only {seeds} files");
}
