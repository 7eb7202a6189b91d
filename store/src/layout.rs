//! Where everything lies in the store's folder. No other module spells a file's name.

use std::path::{Path, PathBuf};

/// The names below one store's folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("MANIFEST")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("key")
    }

    /// The indexes of all generations; only one counts.
    pub(crate) fn indexes(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn index(&self, generation: u64) -> PathBuf {
        self.indexes().join(generation.to_string())
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.secrets().join("records")
    }

    /// Where a store is put together that is to be restored or imported here.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("restore.tmp")
    }

    /// All parts but the manifest.
    pub(crate) fn parts(&self) -> [PathBuf; 5] {
        [self.log(), self.indexes(), self.blobs(), self.secrets(), self.key()]
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn generation(&self, generation: u64) -> PathBuf {
        self.log().join(generation.to_string())
    }

    pub(crate) fn segment(&self, generation: u64, number: u64) -> PathBuf {
        self.generation(generation).join(format!("{number:08}.log"))
    }
}

/// The number in a segment's file name; `None` for any other file.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// How the name of a file ends that is being written and does not count yet.
pub(crate) const TEMPORARY: &str = ".tmp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_gives_its_number() {
        let path = Layout::new(Path::new("/d")).segment(1, 42);
        assert_eq!(path, Path::new("/d/log/1/00000042.log"));
        assert_eq!(segment_number("00000042.log"), Some(42));
        assert_eq!(segment_number("123456789.log"), Some(123_456_789));
        assert_eq!(segment_number("42.log"), None);
        assert_eq!(segment_number("00000042.log.tmp"), None);
        assert_eq!(segment_number("+0000042.log"), None);
    }
}
