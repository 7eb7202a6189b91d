//! What a disk holds, in pages that copies share: taking a copy costs a list of pointers, and a write copies what it touches.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Size of a page, and of the file system's blocks.
pub const PAGE: usize = 4096;

type Page = [u8; PAGE];

/// The content of a disk. A page that was never written is zeros and takes no room.
#[derive(Clone, Debug)]
pub struct Image {
    pages: Vec<Option<Arc<Page>>>,
}

impl Image {
    /// A disk of zeros.
    #[must_use]
    pub fn zeros(bytes: u64) -> Image {
        Image { pages: vec![None; (bytes as usize).div_ceil(PAGE)] }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }

    /// Fills `into` with what lies at `offset`. Behind the end there are zeros.
    pub fn read(&self, offset: u64, into: &mut [u8]) {
        for (page, within, range) in pieces(offset, into.len()) {
            let part = &mut into[range];
            match self.pages.get(page) {
                Some(Some(page)) => part.copy_from_slice(&page[within..within + part.len()]),
                Some(None) | None => part.fill(0),
            }
        }
    }

    /// Writes `bytes` at `offset`. What goes beyond the end is not kept.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, range) in pieces(offset, bytes.len()) {
            let part = &bytes[range];
            if let Some(page) = self.pages.get_mut(page) {
                let page = page.get_or_insert_with(|| Arc::new([0; PAGE]));
                Arc::make_mut(page)[within..within + part.len()].copy_from_slice(part);
            }
        }
    }

    /// Reads an image that [`save`](Self::save) wrote, or that `mkfs` made.
    ///
    /// # Errors
    /// Those of the file.
    pub fn load(path: &Path) -> io::Result<Image> {
        let mut file = File::open(path)?;
        let mut image = Image::zeros(file.metadata()?.len());
        let mut page = [0; PAGE];
        for slot in &mut image.pages {
            file.read_exact(&mut page)?;
            *slot = (page != [0; PAGE]).then(|| Arc::new(page));
        }
        Ok(image)
    }

    /// Writes it to a file, with holes where there are zeros.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(self.size())?;
        for (number, page) in self.pages.iter().enumerate() {
            if let Some(page) = page {
                file.write_all_at(page.as_slice(), (number * PAGE) as u64)?;
            }
        }
        Ok(())
    }
}

/// The pages that a range of bytes touches: which, from where in it, and which part of the range that is.
fn pieces(offset: u64, size: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let offset = offset as usize;
    let mut done = 0;
    std::iter::from_fn(move || {
        let within = (offset + done) % PAGE;
        let count = (PAGE - within).min(size - done);
        (count > 0).then(|| {
            let piece = ((offset + done) / PAGE, within, done..done + count);
            done += count;
            piece
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_holds_what_was_written_and_a_copy_does_not_follow() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut image, mut plain) = (Image::zeros(10 * PAGE as u64), vec![0; 10 * PAGE]);
        for _ in 0..200 {
            let offset = random.usize(..plain.len());
            let bytes = vec![random.u8(..); random.usize(..=(plain.len() - offset).min(3 * PAGE))];
            image.write(offset as u64, &bytes);
            plain[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        let mut copy = image.clone();
        copy.write(0, &vec![7; 10 * PAGE]);
        let mut read = vec![0; 10 * PAGE];
        image.read(0, &mut read);
        assert_eq!(read, plain);
        copy.read(0, &mut read);
        assert_eq!(read, vec![7; 10 * PAGE]);
    }
}
