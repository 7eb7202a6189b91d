//! The bundled workflows, with the files they name, embedded: `anneal run registry-install` needs no file.
//!
//! Invariant: what is embedded is what lies in `workflows/`; a test compares the lists with the folder.

/// A bundled workflow.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

const WORKFLOWS: &[Bundled] = &[
    Bundled { name: "hello", text: include_str!("../hello.ron") },
    Bundled { name: "registry-install", text: include_str!("../registry-install.ron") },
];

macro_rules! files {
    ($($path:literal),* $(,)?) => { &[$(($path, include_bytes!(concat!("../", $path)).as_slice())),*] };
}

const FILES: &[(&str, &[u8])] = files![
    "scripts/apt-proxy-is-set.sh",
    "scripts/apt-proxy.sh",
    "scripts/docker-is-there.sh",
    "scripts/docker-proxy-is-set.sh",
    "scripts/docker-proxy.sh",
    "scripts/hello.sh",
    "scripts/install-docker.sh",
    "scripts/load-image.sh",
    "scripts/registry-is-as-wanted.sh",
    "scripts/run-registry.sh",
    "scripts/undo-registry.sh",
];

/// The bundled workflow of that name.
pub fn find(name: &str) -> Option<&'static Bundled> {
    WORKFLOWS.iter().find(|bundled| bundled.name == name)
}

/// The names of the bundled workflows, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORKFLOWS.iter().map(|bundled| bundled.name)
}

/// A file that a bundled workflow names, by its path relative to `workflows/`.
pub fn file(path: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == path).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn listed(folder: &str, ending: &str) -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(ending))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_embedded_is_what_lies_in_the_folder() {
        let workflows: Vec<String> = super::names().map(|name| format!("{name}.ron")).collect();
        assert_eq!(workflows, listed(".", ".ron"));
        let scripts: Vec<String> = super::FILES.iter().map(|(path, _)| path.replace("scripts/", "")).collect();
        assert_eq!(scripts, listed("scripts", ".sh"));
    }
}
