//! The difference between a file on a host and what it would be.
//!
//! Invariant (I8): of a file into which a secret flows, a line is shown only if it is a line of the new content into which none
//! flows. What would be taken out of it is never shown: it may be the secret that was there before.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::mask::Shade;
use super::report::{Bytes, Content, FileChange};
use super::words::clean;
use crate::host::{Inspected, There, Upload};
use crate::limits::{PREVIEW_DIFFERENCE_BYTES, PREVIEW_TEXT_BYTES};
use crate::redact::{MASK, Redactor};

/// How long the shortest difference is looked for; after that a longer one will do.
const LOOKED_FOR: Duration = Duration::from_secs(2);
/// Lines around a change.
const CONTEXT: usize = 3;

/// What a file would be.
pub(super) struct Will<'a> {
    /// As it is brought there.
    pub upload: &'a Upload,
    /// Its size.
    pub size_bytes: u64,
    /// Its bytes, where they are few enough.
    pub bytes: Option<&'a [u8]>,
    /// Its content with other texts in the place of secrets.
    pub shade: &'a Shade<String>,
}

/// What would change of a file.
pub(super) fn change(was: &There, will: &Will<'_>, redactor: &Redactor) -> FileChange {
    let path = will.upload.to.clone();
    let unread = |why: &str| Content::Unread { why: why.to_owned() };
    let (new, attributes, content) = match was {
        There::Nothing => (true, new_attributes(will), content(None, will, redactor)),
        There::Link => (false, Vec::new(), unread("a symbolic link is there, which would be replaced")),
        There::Unreadable => (false, Vec::new(), unread("the user that the step runs as may not read it")),
        There::File(file) => (false, attributes(file, will), content(Some(file), will, redactor)),
    };
    FileChange { path: clean(&path), new, attributes, content }
}

fn new_attributes(will: &Will<'_>) -> Vec<String> {
    let Upload { mode, rules, .. } = will.upload;
    let mode = mode.filter(|_| !rules.same).map(|mode| format!("mode {mode:04o}"));
    let owner = rules.owner.as_ref().map(|owner| format!("owner {owner}"));
    let group = rules.group.as_ref().map(|group| format!("group {group}"));
    mode.into_iter().chain(owner).chain(group).collect()
}

/// Where a name is given as a number, the host knows better whether it is the same; then nothing is said here.
fn attributes(was: &Inspected, will: &Will<'_>) -> Vec<String> {
    let Upload { mode, rules, .. } = will.upload;
    if rules.same {
        return Vec::new();
    }
    let mode = mode.unwrap_or(0o644);
    let mode = (mode != was.mode).then(|| format!("mode {:04o} -> {mode:04o}", was.mode));
    let name = |what: &str, was: &str, will: &Option<String>| match will {
        Some(will) if will != was && !will.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(format!("{what} {was} -> {will}"))
        }
        Some(_) | None => None,
    };
    let owner = name("owner", &was.owner, &rules.owner);
    let group = name("group", &was.group, &rules.group);
    mode.into_iter().chain(owner).chain(group).collect()
}

fn content(was: Option<&Inspected>, will: &Will<'_>, redactor: &Redactor) -> Content {
    let is_same = was.is_some_and(|was| match (&was.sha256, &was.bytes, will.bytes) {
        (Some(sha256), ..) => *sha256 == will.upload.sha256,
        (None, Some(was), Some(will)) => was == will,
        (None, ..) => false,
    });
    if is_same {
        return Content::Same;
    }
    let old = was.map_or(Some(Default::default()), |was| was.bytes.as_deref());
    let texts = old.zip(will.bytes).and_then(|(old, new)| Some((text(old)?, text(new)?)));
    match (texts, will.shade) {
        (Some((old, new)), Shade::Public) => lines(old, new, None, redactor),
        (Some((old, new)), Shade::Twice(shades)) => match tainted(new, shades) {
            Some(tainted) => lines(old, new, Some(&tainted), redactor),
            None => Content::Secret,
        },
        // Neither its size nor its digest is told: of a short secret they tell too much.
        (None, Shade::Twice(_)) | (_, Shade::Dark) => Content::Secret,
        (None, Shade::Public) => Content::Bytes {
            was: was.map(|was| Bytes { size_bytes: was.size_bytes, sha256: was.sha256.clone() }),
            will: Bytes { size_bytes: will.size_bytes, sha256: Some(will.upload.sha256.clone()) },
        },
    }
}

/// The bytes as text, where they are one that can be shown.
fn text(bytes: &[u8]) -> Option<&str> {
    let small = bytes.len() <= PREVIEW_TEXT_BYTES && !bytes.contains(&0);
    small.then(|| std::str::from_utf8(bytes).ok())?
}

/// Which lines of a content depend on a secret; nothing where its lines do not stand where they stand with other texts.
fn tainted(content: &str, shades: &[String; 2]) -> Option<Vec<bool>> {
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (real, [one, other]) = (lines(content), shades.each_ref().map(|shade| lines(shade)));
    if real.len() != one.len() || real.len() != other.len() {
        return None;
    }
    Some((0..real.len()).map(|at| real[at] != one[at] || real[at] != other[at]).collect())
}

/// The unified difference. `tainted` is given where a secret flows into the new text.
fn lines(old: &str, new: &str, tainted: Option<&[bool]>, redactor: &Redactor) -> Content {
    let diff = TextDiff::configure().timeout(LOOKED_FOR).diff_lines(old, new);
    let mut shown = String::new();
    let mut left_out = 0usize;
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        let mut lines = vec![hunk.header().to_string()];
        for change in hunk.iter_changes() {
            let hidden = match (tainted, change.tag(), change.new_index()) {
                (None, ..) => false,
                (Some(_), ChangeTag::Delete, _) | (Some(_), _, None) => true,
                (Some(tainted), ChangeTag::Equal | ChangeTag::Insert, Some(at)) => tainted.get(at) != Some(&false),
            };
            let line = match hidden {
                true => MASK.to_owned(),
                false => clean(&redactor.text(change.value().trim_end_matches('\n'))),
            };
            lines.push(format!("{}{line}", change.tag()));
            if change.missing_newline() {
                lines.push("\\ No newline at end of file".to_owned());
            }
        }
        for line in lines {
            // Once a line is left out, so are all that follow.
            if left_out > 0 || shown.len() + line.len() > PREVIEW_DIFFERENCE_BYTES {
                left_out += 1;
            } else {
                shown.push_str(line.trim_end_matches('\n'));
                shown.push('\n');
            }
        }
    }
    if left_out > 0 {
        shown.push_str(&format!("… and {left_out} lines more\n"));
    }
    Content::Lines { difference: shown }
}
