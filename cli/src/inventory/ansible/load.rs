//! The files of an inventory: one, or a folder of several, and the variables that lie in `group_vars` and `host_vars` beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::tree::Tree;
use super::value::{Value, Variables};
use super::vault::{self, Password};
use super::wrong::Wrong;
use super::{groups, ini, script, yaml};
use crate::report::Problem;

/// Bytes of one file.
pub const FILE_BYTES: u64 = 4 << 20;
/// Bytes of all files.
const ALL_BYTES: u64 = 64 << 20;
/// Files of an inventory.
const FILES: usize = 10_000;
/// Folders inside folders.
const FOLDERS: usize = 16;

/// Reads all of an inventory.
pub fn load(path: &Path, password: &Password) -> Result<Tree, Problem> {
    let mut loading = Loading { password, tree: Tree::new(), files: 0, bytes: 0 };
    if path.is_dir() {
        loading.folder(path, 0)?;
        if loading.tree.hosts.is_empty() {
            return Err(Problem::usage(format!("the folder `{}` has no inventory with a host in it", path.display())));
        }
    } else {
        loading.source(path, true)?;
    }
    loading.tree.settle();
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    loading.beside(folder)?;
    Ok(loading.tree)
}

struct Loading<'p> {
    password: &'p Password,
    tree: Tree,
    files: usize,
    bytes: u64,
}

impl Loading<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), Problem> {
        if depth > FOLDERS {
            return Err(wrong(folder, Wrong::new(format!("there are more than {FOLDERS} folders inside one another"))));
        }
        for name in names(folder)? {
            if is_ignored(&name) {
                continue;
            }
            let path = folder.join(&name);
            if path.is_dir() {
                self.folder(&path, depth + 1)?;
            } else {
                self.source(&path, false)?;
            }
        }
        Ok(())
    }

    /// One source. A program is run only where the user has named it.
    fn source(&mut self, path: &Path, named: bool) -> Result<(), Problem> {
        let tree = &mut self.tree;
        if is_program(path) {
            if !named {
                let problem = wrong(path, Wrong::new("it is a program, and those of a folder are not run"));
                return Err(problem.hint(format!("name it itself: --inventory {}", path.display())));
            }
            return script::read(path, tree).map_err(|error| wrong(path, error));
        }
        let (text, encrypted) = self.text(path)?;
        self.tree.hide = encrypted;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let read = match extension {
            "yml" | "yaml" | "json" => yaml::read(&text).and_then(|node| groups::read(node, &mut self.tree)),
            "toml" => Err(Wrong::new("inventories in TOML are not read")
                .hint("ansible-inventory -i FILE --list --yaml writes it as YAML")),
            // Without an extension it may be either.
            "" => match yaml::read(&text) {
                Ok(node) if matches!(node.data, yaml::Data::Map(_)) => groups::read(node, &mut self.tree),
                Err(wrong) if text.starts_with("---") => Err(wrong),
                Ok(_) | Err(_) => ini::read(&text, &mut self.tree),
            },
            _ => ini::read(&text, &mut self.tree),
        };
        self.tree.hide = false;
        read.map_err(|error| wrong(path, error))
    }

    fn beside(&mut self, folder: &Path) -> Result<(), Problem> {
        let groups: Vec<String> = self.tree.groups.keys().cloned().collect();
        let hosts: Vec<String> = self.tree.hosts.keys().cloned().collect();
        for name in groups {
            if let Some(variables) = self.variables(&folder.join("group_vars"), &name)? {
                self.tree.beside.groups.insert(name, variables);
            }
        }
        for name in hosts {
            if let Some(variables) = self.variables(&folder.join("host_vars"), &name)? {
                self.tree.beside.hosts.insert(name, variables);
            }
        }
        Ok(())
    }

    /// The variables of one group or host: of the first that is there of NAME, NAME.yml, NAME.yaml and NAME.json.
    fn variables(&mut self, folder: &Path, name: &str) -> Result<Option<Variables>, Problem> {
        // A name is a name here, and no way to other folders.
        if name.contains('/') || name == "." || name == ".." || !folder.is_dir() {
            return Ok(None);
        }
        let found = ["", ".yml", ".yaml", ".json"]
            .iter()
            .map(|end| folder.join(format!("{name}{end}")))
            .find(|path| path.exists());
        let Some(path) = found else { return Ok(None) };
        let mut files = Vec::new();
        if path.is_dir() {
            variable_files(&path, 0, &mut files)?;
        } else {
            files.push(path);
        }
        let mut all = Variables::new();
        for path in files {
            let (text, encrypted) = self.text(&path)?;
            let read = yaml::read(&text).and_then(yaml::Node::into_variables);
            let read = read.map_err(|error| wrong(&path, error))?;
            let hidden = |value| if encrypted { Value::Hidden(Box::new(value)) } else { value };
            all.extend(read.into_iter().map(|(name, value)| (name, hidden(value))));
        }
        Ok(Some(all))
    }

    /// The text of a file, decrypted where ansible-vault has encrypted it as a whole; whether it has.
    fn text(&mut self, path: &Path) -> Result<(Zeroizing<String>, bool), Problem> {
        self.files += 1;
        if self.files > FILES {
            return Err(wrong(path, Wrong::new(format!("there are more than {FILES} files"))));
        }
        let meta = fs::metadata(path).map_err(|error| unreadable(path, &error.to_string()))?;
        if !meta.is_file() {
            return Err(unreadable(path, "it is no file"));
        }
        self.bytes += meta.len();
        if meta.len() > FILE_BYTES {
            let bytes = meta.len();
            return Err(wrong(path, Wrong::new(format!("the file has {bytes} bytes; {FILE_BYTES} are the most"))));
        }
        if self.bytes > ALL_BYTES {
            return Err(wrong(path, Wrong::new(format!("with this file there are more than {ALL_BYTES} bytes"))));
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(|error| unreadable(path, &error.to_string()))?);
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            wrong(path, Wrong::at(super::wrong::At::line(line), "the file is not UTF-8 text from here on"))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.starts_with(vault::HEADER) {
            let plain = self.password.open(text).map_err(|why| {
                wrong(path, Wrong::new(why).hint("name the file of its password: --vault-password-file FILE"))
            })?;
            return Ok((Zeroizing::new(plain.expose().to_owned()), true));
        }
        Ok((Zeroizing::new(text.to_owned()), false))
    }
}

/// Files of variables in a folder, in order, and those in its folders.
fn variable_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Problem> {
    if depth > FOLDERS || files.len() > FILES {
        return Err(wrong(folder, Wrong::new("there are too many files and folders of variables")));
    }
    for name in names(folder)? {
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = folder.join(&name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() && extension.is_none() {
            variable_files(&path, depth + 1, files)?;
        } else if path.is_file() && matches!(extension, None | Some("yml" | "yaml" | "json")) {
            files.push(path);
        }
    }
    Ok(())
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>, Problem> {
    let unreadable = |error: std::io::Error| unreadable(folder, &error.to_string());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        // A name that is no text is no name of a group or host.
        names.extend(entry.map_err(unreadable)?.file_name().into_string().ok());
        if names.len() > FILES {
            return Err(wrong(folder, Wrong::new(format!("there are more than {FILES} files"))));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What Ansible does not take as an inventory in a folder.
fn is_ignored(name: &str) -> bool {
    const ENDS: [&str; 12] =
        [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];
    name.starts_with('.')
        || matches!(name, "host_vars" | "group_vars" | "vars_plugins")
        || ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a file is executable and begins as a program does; many a text is executable by accident.
fn is_program(path: &Path) -> bool {
    let executable = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if !executable {
        return false;
    }
    let mut start = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    read.is_ok_and(|length| start[..length].starts_with(b"#!") || start[..length] == *b"\x7fELF")
}

fn wrong(path: &Path, wrong: Wrong) -> Problem {
    wrong.in_file(&path.display().to_string())
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem::usage(format!("the inventory `{}` cannot be read: {why}", path.display()))
        .hint("name an inventory: a file of Anneal (.ron), or a file or folder of Ansible")
}
