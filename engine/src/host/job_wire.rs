//! What comes back from our scripts. Pure parsing, no I/O.
//!
//! On standard output: whatever a login script wrote, `anneal-begin PID`, what the script brings, `anneal-end …`. The end
//! is looked for from behind, so output that looks like one changes nothing. While a job is watched, what it writes comes
//! as hexadecimal lines ([`Frames`]).
//!
//! Invariant: without its end line an answer is not an answer.

use super::error::{ErrorKind, shown};
use super::session::Leave;
use super::{Output, Stream, limits};

const BEGIN: &[u8] = b"\nanneal-begin ";
const END: &[u8] = b"\nanneal-end ";
/// Of a process id, at most.
const PID_DIGITS: usize = 10;

/// What stands before our script begins: it is dropped, but kept for a while in case it explains why nothing began.
#[derive(Default)]
pub(super) struct Preamble {
    pub(super) seen: Vec<u8>,
    pub(super) over: bool,
}

impl Preamble {
    /// Takes bytes; at the begin line, the script's process and what follows it.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<(u32, Vec<u8>)> {
        // Only from where a begin line could not have been complete before: a shell may write without end, in small pieces.
        let from = self.seen.len().saturating_sub(BEGIN.len() + PID_DIGITS);
        self.seen.extend_from_slice(bytes);
        let found = find(&self.seen[from..], BEGIN).and_then(|at| {
            let number = from + at + BEGIN.len();
            let length = self.seen[number..].iter().position(|&b| b == b'\n')?;
            let pid = std::str::from_utf8(&self.seen[number..number + length]).ok()?.parse().ok()?;
            Some((pid, self.seen[number + length + 1..].to_vec()))
        });
        if found.is_some() {
            self.over = true;
            self.seen = Vec::new();
        } else if self.seen.len() > limits::PREAMBLE_BYTES {
            // A begin line may straddle the cut.
            self.seen.drain(..limits::PREAMBLE_BYTES / 2);
        }
        found
    }
}

/// The last word of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The job's end; whether each stream was truncated on the host.
    Exit { code: i32, how: How, out_cut: bool, err_cut: bool },
    /// The folder to start in cannot be entered; nothing began.
    NoFolder,
    /// For how many seconds a job has written nothing, where that can be told; and how many bytes it has written.
    Quiet { seconds: Option<i64>, bytes: u64 },
    /// The end of the login session would end the job. Nothing began; so it can be kept from that.
    Session(Leave),
    /// The attempt's name is taken.
    Fenced,
    /// It could not be done: where, and what the system said.
    Failed { path: String, said: String },
    /// The job never began and never will.
    Never,
    /// The machine was restarted since.
    Rebooted,
    /// The job's process is gone.
    Vanished,
    /// The job that was watched has ended.
    Followed,
    /// A kill: what the job was found to be, and whether all processes could be seen.
    Killed { was: Was, saw_all: bool },
    /// How the bytes before are to be read.
    Fetched { head: usize, tail: usize, dropped: u64 },
    /// It is done.
    Done,
    /// It was so already.
    Same,
    /// There is no room: KB that are free.
    Full { free_kb: Option<u64> },
    /// Another content arrived.
    Differs { got: String },
}

/// What ended a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The program itself, or somebody's signal.
    Itself,
    /// The watchdog, at the deadline.
    Late,
    /// A kill that found no supervisor to record the end.
    Killed,
}

/// What a kill found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Was {
    /// Running.
    Running,
    /// It had ended of itself; nothing was killed.
    Ended,
    /// Ended by its deadline, or an earlier kill.
    Overdue,
    /// It had not begun, and now cannot.
    Void,
    /// Its machine or process is gone.
    Gone,
}

/// Splits an answer into what was brought and the end; `None` while the end is not there.
pub(super) fn split_end(answer: &[u8]) -> Option<(&[u8], End)> {
    let at = answer.windows(END.len()).rposition(|window| window == END)?;
    let line = answer[at + END.len()..].strip_suffix(b"\n")?;
    Some((&answer[..at], parse_end(&String::from_utf8_lossy(line))?))
}

fn parse_end(line: &str) -> Option<End> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    Some(match (word, words.as_slice()) {
        ("exit", [code, how, cut]) => End::Exit {
            code: code.parse().ok()?,
            how: match *how {
                "-" => How::Itself,
                "late" => How::Late,
                "killed" => How::Killed,
                _ => return None,
            },
            out_cut: cut.contains('o'),
            err_cut: cut.contains('e'),
        },
        ("session", [how]) => End::Session(Leave::read(how)?),
        ("fenced", _) => End::Fenced,
        ("folder", _) => End::NoFolder,
        ("quiet", [seconds, bytes]) => End::Quiet { seconds: seconds.parse().ok(), bytes: bytes.parse().ok()? },
        ("error", [path, ..]) => {
            End::Failed { path: (*path).to_owned(), said: shown(rest.get(path.len()..).unwrap_or_default().as_bytes()) }
        }
        ("never", _) => End::Never,
        ("rebooted", _) => End::Rebooted,
        ("vanished", _) => End::Vanished,
        ("followed", _) => End::Followed,
        ("killed", [was, all]) => End::Killed {
            was: match *was {
                "running" => Was::Running,
                "ended" => Was::Ended,
                "late" | "killed" => Was::Overdue,
                "void" => Was::Void,
                "gone" => Was::Gone,
                _ => return None,
            },
            saw_all: *all == "all",
        },
        ("fetched", [head, tail, dropped]) => {
            End::Fetched { head: head.parse().ok()?, tail: tail.parse().ok()?, dropped: dropped.parse().ok()? }
        }
        ("done", _) => End::Done,
        ("same", _) => End::Same,
        ("full", [free]) => End::Full { free_kb: free.parse().ok() },
        ("differs", [got]) => End::Differs { got: shown(got.as_bytes()) },
        _ => return None,
    })
}

/// What it means that a script could not write or read on the host.
pub(super) fn failure(path: &str, said: &str) -> ErrorKind {
    let full = ["o space left", "uota exceeded", "(free KB: 0)", "Disk full"].iter().any(|sign| said.contains(sign));
    match path {
        _ if full => ErrorKind::DiskFull { path: path.to_owned(), free: None, needed: None },
        "-" => ErrorKind::Io { said: said.to_owned() },
        _ => ErrorKind::Io { said: format!("{path}: {said}") },
    }
}

/// Live output, as the scripts show it: `out` or `err` on a line, lines of hexadecimal bytes, a dot each second, and
/// `final` before the real thing.
#[derive(Default)]
pub(super) struct Frames {
    line: Vec<u8>,
    stream: Option<Stream>,
    over: bool,
}

impl Frames {
    /// Takes bytes; gives what follows the frames once they are over.
    pub(super) fn push(&mut self, bytes: &[u8], show: &mut dyn FnMut(Stream, &[u8])) -> Vec<u8> {
        let mut rest = bytes;
        let mut shown: Vec<u8> = Vec::new();
        while !self.over {
            let Some(end) = rest.iter().position(|&b| b == b'\n') else {
                self.line.extend_from_slice(rest);
                rest = &[];
                break;
            };
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            if let (Some(b' '), Some(_)) = (line.first(), self.stream) {
                shown.extend(line.split(|&b| b == b' ').filter_map(hex));
                continue;
            }
            self.flush(&mut shown, show);
            match line.as_slice() {
                b"out" => self.stream = Some(Stream::Stdout),
                b"err" => self.stream = Some(Stream::Stderr),
                b"final" => self.over = true,
                _ => {}
            }
        }
        self.flush(&mut shown, show);
        rest.to_vec()
    }

    fn flush(&self, shown: &mut Vec<u8>, show: &mut dyn FnMut(Stream, &[u8])) {
        if let Some(stream) = self.stream.filter(|_| !shown.is_empty()) {
            show(stream, shown);
            shown.clear();
        }
    }
}

fn hex(word: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(word).ok().filter(|word| word.len() == 2)?, 16).ok()
}

/// Output that arrives without a bound, kept within one: the first bytes and the last.
#[derive(Default)]
pub(super) struct Gather {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: u64,
}

impl Gather {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = limits::OUTPUT_END_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(&bytes[room..]);
        // Cut in large steps: moving the tail for each chunk would cost more than reading it.
        if self.tail.len() > 2 * limits::OUTPUT_END_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let over = self.tail.len().saturating_sub(limits::OUTPUT_END_BYTES);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }

    pub(super) fn finish(mut self) -> Output {
        self.cut();
        if self.dropped == 0 {
            self.head.append(&mut self.tail);
        }
        Output { head: self.head, tail: self.tail, dropped_bytes: self.dropped }
    }
}

pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begin_line_is_found_however_it_is_cut() {
        let text = b"noise\nno newline\nanneal-begin 4711\nout";
        for cut in 0..text.len() {
            let mut preamble = Preamble::default();
            let begun = preamble.push(&text[..cut]).or_else(|| preamble.push(&text[cut..]));
            let (pid, rest) = begun.unwrap();
            assert_eq!(pid, 4711);
            assert!(b"out".starts_with(&rest[..]) && preamble.over);
        }
        let mut slow = Preamble::default();
        let found: Vec<_> = text.iter().filter_map(|&byte| slow.push(&[byte])).collect();
        assert_eq!(found, [(4711, Vec::new())], "byte by byte");
        let mut endless = Preamble::default();
        for _ in 0..1000 {
            assert!(endless.push(&[b'x'; 1000]).is_none());
        }
        assert!(endless.seen.len() <= limits::PREAMBLE_BYTES);
        assert!(endless.push(b"\nanneal-begin 1\n").is_some());
    }

    #[test]
    fn the_last_end_line_counts_and_must_be_whole() {
        let exit = End::Exit { code: 3, how: How::Late, out_cut: true, err_cut: false };
        type Case = (&'static [u8], Option<(&'static [u8], End)>);
        let cases: [Case; 9] = [
            (b"", None),
            (b"out", None),
            (b"out\nanneal-end exit 3 late o", None),
            (b"out\nanneal-end exit 3 late o\n", Some((b"out", exit))),
            (b"\nanneal-end fenced\n", Some((b"", End::Fenced))),
            (b"\nanneal-end never\n\nanneal-end fenced\n", Some((b"\nanneal-end never\n", End::Fenced))),
            (b"\nanneal-end exit x - -\n", None),
            (b"\nanneal-end killed running all\n", Some((b"", End::Killed { was: Was::Running, saw_all: true }))),
            (
                b"\nanneal-end error /d cat: write error: No space left on device (free KB: 0)\n",
                Some((
                    b"",
                    End::Failed {
                        path: "/d".into(),
                        said: "cat: write error: No space left on device (free KB: 0)".into(),
                    },
                )),
            ),
        ];
        for (answer, expected) in cases {
            assert_eq!(split_end(answer), expected, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn frames_are_shown_and_what_follows_them_is_kept() {
        let text = b".\nout\n 68 69\n 0a\nerr\n 21\n.\nfinal\nraw\nout\n 68";
        for cut in 0..text.len() {
            let (mut frames, mut out, mut err) = (Frames::default(), Vec::new(), Vec::new());
            let mut show = |stream, bytes: &[u8]| match stream {
                Stream::Stdout => out.extend_from_slice(bytes),
                Stream::Stderr => err.extend_from_slice(bytes),
            };
            let mut rest = frames.push(&text[..cut], &mut show);
            rest.extend(frames.push(&text[cut..], &mut show));
            assert_eq!(
                (out.as_slice(), err.as_slice(), rest.as_slice()),
                (&b"hi\n"[..], &b"!"[..], &b"raw\nout\n 68"[..])
            );
        }
    }

    #[test]
    fn gathered_output_keeps_both_ends() {
        for (size, chunk) in
            [(0, 1), (100, 7), (2 * limits::OUTPUT_END_BYTES, 4096), (5_000_001, 9973), (3_000_000, 3_000_000)]
        {
            let all: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
            let mut gather = Gather::default();
            all.chunks(chunk).for_each(|chunk| gather.push(chunk));
            let output = gather.finish();
            let end = limits::OUTPUT_END_BYTES;
            if size <= 2 * end {
                assert!(output.head == all && output.tail.is_empty() && output.dropped_bytes == 0);
            } else {
                assert!(output.head == all[..end] && output.tail == all[size - end..]);
                assert_eq!(output.dropped_bytes, (size - 2 * end) as u64);
            }
        }
    }
}
