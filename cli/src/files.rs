//! The files around a workflow, for the compiler: on this machine, or embedded in the binary.

use std::io::Read;
use std::path::{Path, PathBuf};

use dsl::value::FileRef;
use dsl::{Called, Files, Source};
use zeroize::Zeroizing;

use crate::report::Problem;

/// A workflow with the files around it.
pub struct Opened {
    /// Its text.
    pub source: Source,
    /// Its files.
    pub files: Box<dyn Files>,
}

/// A workflow that another one calls, by its path in the folder of that one or by its name; else a bundled one.
fn called(folder: Option<&Path>, name: &str) -> Result<Called, String> {
    let shown = |problem: Problem| problem.message;
    if let Some(folder) = folder {
        let inside = folder.canonicalize().map_err(|error| error.to_string())?;
        let path = if name.ends_with(".ron") { name.to_owned() } else { format!("{name}.ron") };
        if let Ok(file) = inside.join(&path).canonicalize() {
            if !file.starts_with(&inside) {
                return Err("it is not in the folder of the workflow that calls it".to_owned());
            }
            // Its name is the way to it that people know: two calls of one file are of one source.
            let Opened { mut source, files } = open(&file).map_err(shown)?;
            let way = file.strip_prefix(&inside).unwrap_or(&file);
            source.name = folder.join(way).display().to_string();
            return Ok(Called { source, files });
        }
    }
    if name.contains(['/', '.']) {
        return Err("there is no such file in the folder of the workflow that calls it".to_owned());
    }
    match open_bundled(name) {
        Ok(Opened { source, files }) => Ok(Called { source, files }),
        Err(problem) => Err(match folder {
            Some(_) => format!("there is no file `{name}.ron` beside it, and {}", shown(problem)),
            None => shown(problem),
        }),
    }
}

/// Opens a workflow file.
pub fn open(path: &Path) -> Result<Opened, Problem> {
    let name = path.display().to_string();
    let meta = std::fs::metadata(path).map_err(|error| {
        Problem::usage(format!("`{name}` cannot be read: {error}")).hint("name a workflow file (.ron)")
    })?;
    if meta.is_dir() {
        return Err(Problem::usage(format!("`{name}` is a folder")).hint("name the workflow files in it"));
    }
    if meta.len() > dsl::limits::SOURCE_BYTES as u64 {
        let limit = dsl::limits::SOURCE_BYTES;
        return Err(Problem::usage(format!("`{name}` has {} bytes; a workflow has {limit} at most", meta.len())));
    }
    // Reading a pipe might never end, and a device has no end.
    if !meta.is_file() {
        return Err(
            Problem::usage(format!("`{name}` is neither a file nor a folder")).hint("name a workflow file (.ron)")
        );
    }
    let bytes = std::fs::read(path).map_err(|error| Problem::usage(format!("`{name}` cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::usage(format!("`{name}` is not UTF-8 text: byte {at} is wrong")).hint("name a workflow file (.ron)")
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Opened { source: Source { name, text }, files: Box::new(Folder(folder.to_owned())) })
}

/// Opens a workflow file, or a bundled workflow by its name.
pub fn open_or_bundled(name: &str) -> Result<Opened, Problem> {
    if Path::new(name).exists() {
        return open(Path::new(name));
    }
    open_bundled(name).map_err(|problem| Problem {
        message: format!("there is no file `{name}`, and no bundled workflow of that name"),
        ..problem
    })
}

/// Opens a bundled workflow by its name.
pub fn open_bundled(name: &str) -> Result<Opened, Problem> {
    match workflows::find(name) {
        Some(bundled) => Ok(Opened {
            source: Source { name: format!("<bundled>/{name}.ron"), text: bundled.text.to_owned() },
            files: Box::new(Bundled),
        }),
        None => {
            let names: Vec<&str> = workflows::names().collect();
            let nearest =
                dsl::nearest(name, names.iter().copied()).map(|nearest| format!("did you mean `{nearest}`? "));
            Err(Problem::usage(format!("there is no bundled workflow `{name}`")).hint(format!(
                "{}bundled workflows: {}",
                nearest.unwrap_or_default(),
                names.join(", ")
            )))
        }
    }
}

/// The folder of a workflow file. Links that lead out of it are not followed.
struct Folder(PathBuf);

impl Files for Folder {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        let folder = self.0.canonicalize().map_err(|error| error.to_string())?;
        let file = folder.join(path).canonicalize().map_err(|error| error.to_string())?;
        if !file.starts_with(&folder) {
            return Err("it is a link that leads out of the workflow's folder".to_owned());
        }
        let meta = file.metadata().map_err(|error| error.to_string())?;
        if !meta.is_file() {
            return Err("it is not a file".to_owned());
        }
        if meta.len() > dsl::limits::ASSET_BYTES as u64 {
            return Err(format!("it has {} bytes; {} are the most", meta.len(), dsl::limits::ASSET_BYTES));
        }
        std::fs::read(&file).map_err(|error| error.to_string())
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        file_ref(path)
    }

    fn secret_file(&self, path: &str) -> Result<String, String> {
        secret_text(path)
    }

    fn workflow(&self, name: &str) -> Result<Called, String> {
        called(Some(&self.0), name)
    }
}

/// The files of the bundled workflows.
struct Bundled;

impl Files for Bundled {
    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        workflows::file(path).map(<[u8]>::to_vec).ok_or_else(|| "it is not bundled".to_owned())
    }

    fn file(&self, path: &str) -> Result<FileRef, String> {
        file_ref(path)
    }

    fn secret_file(&self, path: &str) -> Result<String, String> {
        secret_text(path)
    }

    fn workflow(&self, name: &str) -> Result<Called, String> {
        called(None, name)
    }
}

/// The text of a secret file of this machine.
fn secret_text(path: &str) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let most = dsl::limits::TEXT_BYTES as u64;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most} bytes"));
    }
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// A file of this machine as it is now.
fn file_ref(path: &str) -> Result<FileRef, String> {
    let absolute = Path::new(path).canonicalize().map_err(|error| error.to_string())?;
    // Asked before it is opened: opening a pipe waits for whoever writes into it.
    if !absolute.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut file = std::fs::File::open(&absolute).map_err(|error| error.to_string())?;
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let (mut buffer, mut size_bytes) = (vec![0; 1 << 20], 0u64);
    loop {
        let read = file.read(&mut buffer).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        size_bytes += read as u64;
    }
    let sha256 = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let path = absolute.to_str().ok_or("its path is not UTF-8")?.to_owned();
    Ok(FileRef { path, size_bytes, sha256 })
}
