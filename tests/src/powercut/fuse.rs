//! A file system with one file, which is a [`Disk`]: what the kernel's FUSE asks (`linux/fuse.h`, protocol 7.31), answered.
//!
//! The file is opened for direct I/O, so each request of the loop device above it arrives as it was made; a flush of that
//! device arrives as `FSYNC`. A request is entered into the disk's journal before it is answered, and one thread answers all:
//! the journal's order is one that the kernel saw.
//!
//! Nothing here touches any other file system, so whoever waits for this thread does not make it wait.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::disk::Disk;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;

const IN_HEADER: usize = 40;
const IO_HEADER: usize = 40;
const ROOT: u64 = 1;
const FILE: u64 = 2;
const DIRECT_IO: u32 = 1;
/// `FUSE_MAX_PAGES`: the answer to `INIT` says how many pages a request may have.
const SAYS_MAX_PAGES: u32 = 1 << 22;
const MAX_PAGES: u16 = 256;
const MAX_WRITE: u32 = MAX_PAGES as u32 * 4096;
/// Long enough that the kernel never asks again: nothing changes.
const FOREVER: u64 = 1 << 30;

const ENOENT: i32 = 2;
const ENODEV: i32 = 19;
const ENOSYS: i32 = 38;

/// Mounts the file system. Requests wait until [`serve`] is run with what this returns.
///
/// # Errors
/// Without `/dev/fuse`, and when this is not root.
pub fn attach(folder: &Path) -> io::Result<File> {
    let channel = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", channel.as_raw_fd());
    let options = CString::new(options)?;
    mount("anneal-powercut", folder, "fuse", MountFlags::NOSUID | MountFlags::NODEV, Some(options.as_c_str()))?;
    Ok(channel)
}

/// Answers requests until the file system is unmounted.
///
/// # Errors
/// When the kernel refuses an answer.
pub fn serve(mut channel: File, name: &str, disk: &Disk, size: u64) -> io::Result<()> {
    let mut buffer = vec![0; MAX_WRITE as usize + 4096];
    loop {
        let count = match channel.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.raw_os_error() == Some(ENODEV) => return Ok(()),
            // A request was taken back before it was read.
            Err(error) if matches!(error.raw_os_error(), Some(2 | 4 | 11)) => continue,
            Err(error) => return Err(error),
        };
        let request = Request { bytes: &buffer[..count] };
        let answer = match request.opcode() {
            FORGET | BATCH_FORGET | INTERRUPT => continue,
            _ => answer(&request, name, disk, size),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(code) => (-code, Vec::new()),
        };
        let mut header = Vec::with_capacity(16);
        put32(&mut header, 16 + body.len() as u32);
        put32(&mut header, error as u32);
        put64(&mut header, request.unique());
        match channel.write_vectored(&[IoSlice::new(&header), IoSlice::new(&body)]) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(ENOENT) => {} // whoever asked was killed
            Err(error) if error.raw_os_error() == Some(ENODEV) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

struct Request<'a> {
    bytes: &'a [u8],
}

impl Request<'_> {
    fn opcode(&self) -> u32 {
        self.get32(4)
    }

    fn unique(&self) -> u64 {
        self.get64(8)
    }

    fn node(&self) -> u64 {
        self.get64(16)
    }

    fn get32(&self, at: usize) -> u32 {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
    }

    fn get64(&self, at: usize) -> u64 {
        u64::from(self.get32(at)) | u64::from(self.get32(at + 4)) << 32
    }
}

fn answer(request: &Request<'_>, name: &str, disk: &Disk, size: u64) -> Result<Vec<u8>, i32> {
    let mut body = Vec::new();
    match request.opcode() {
        INIT => {
            let (major, minor, readahead) = (7, 31, request.get32(IN_HEADER + 8));
            [major, minor, readahead, SAYS_MAX_PAGES].into_iter().for_each(|field| put32(&mut body, field));
            put32(&mut body, 12 << 16 | 16); // congestion threshold, background requests
            put32(&mut body, MAX_WRITE);
            put32(&mut body, 1); // granularity of times, ns
            put32(&mut body, u32::from(MAX_PAGES));
            body.resize(64, 0);
        }
        LOOKUP => {
            let asked = request.bytes.get(IN_HEADER..).unwrap_or_default();
            if request.node() != ROOT || asked.strip_suffix(&[0]) != Some(name.as_bytes()) {
                return Err(ENOENT);
            }
            [FILE, 0, FOREVER, FOREVER, 0].into_iter().for_each(|field| put64(&mut body, field));
            attributes(&mut body, FILE, size);
        }
        GETATTR | SETATTR => {
            [FOREVER, 0].into_iter().for_each(|field| put64(&mut body, field));
            attributes(&mut body, request.node(), size);
        }
        OPEN => {
            put64(&mut body, 0);
            put32(&mut body, DIRECT_IO);
            put32(&mut body, 0);
        }
        READ => {
            let (offset, count) = (request.get64(IN_HEADER + 8), request.get32(IN_HEADER + 16));
            body.resize(u64::from(count).min(size.saturating_sub(offset)) as usize, 0);
            disk.read(offset, &mut body);
        }
        WRITE => {
            let (offset, count) = (request.get64(IN_HEADER + 8), request.get32(IN_HEADER + 16));
            disk.write(offset, request.bytes.get(IN_HEADER + IO_HEADER..).unwrap_or_default());
            put32(&mut body, count);
            put32(&mut body, 0);
        }
        FSYNC => disk.flush(),
        STATFS => body.resize(80, 0),
        RELEASE | FLUSH | DESTROY => {}
        _ => return Err(ENOSYS),
    }
    Ok(body)
}

fn attributes(body: &mut Vec<u8>, node: u64, size: u64) {
    let (size, mode) = if node == FILE { (size, 0o100_600) } else { (0, 0o040_700) };
    [node, size, size / 512, 0, 0, 0].into_iter().for_each(|field| put64(body, field));
    // Nanoseconds of three times, mode, links, user, group, device, size of a block, flags.
    [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].into_iter().for_each(|field| put32(body, field));
}

fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_le_bytes());
}
