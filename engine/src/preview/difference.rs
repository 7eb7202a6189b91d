//! The difference between a file on a host and what it would be.
//!
//! Invariant (I8): of a file into which a secret flows, a line is shown only if it is a line of the new content into which none
//! flows. What would be taken out of it is never shown: it may be the secret that was there before.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::mask::Shade;
use super::report::{Bytes, Content, FileChange};
use crate::action::output::clean;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use store::Secret;
    use uuid::Uuid;

    use super::*;
    use crate::host::{Content as From, JobId, Rules};
    use crate::vault::Vault;

    const SECRET: &str = "canary-4711-secret";

    fn there(text: &[u8], mode: u32) -> There {
        There::File(Inspected {
            mode,
            owner: "root".to_owned(),
            group: "root".to_owned(),
            size_bytes: text.len() as u64,
            sha256: Some(store::Digest::of(text).hex()),
            bytes: Some(text.to_vec()),
        })
    }

    fn told(was: &There, text: &[u8], shade: &Shade<String>) -> FileChange {
        let upload = Upload {
            id: JobId { operation: Uuid::nil(), node: "a".to_owned(), attempt: 1 },
            from: From::Bytes(text.to_vec()),
            to: "/etc/app".to_owned(),
            mode: Some(0o644),
            as_user: None,
            sha256: store::Digest::of(text).hex(),
            timeout: Duration::from_secs(1),
            rules: Rules { owner: Some("app".to_owned()), ..Rules::default() },
        };
        let name = dsl::value::SecretRef("inputs.s".to_owned());
        let vault = Vault::new([(name, Secret::from(SECRET))].into());
        let will = Will { upload: &upload, size_bytes: text.len() as u64, bytes: Some(text), shade };
        change(was, &will, &Redactor::new(&vault, &[]))
    }

    fn shade(text: &str) -> Shade<String> {
        Shade::Twice(["one", "another"].map(|with| text.replace(SECRET, with)))
    }

    fn difference(change: FileChange) -> String {
        match change.content {
            Content::Lines { difference } => difference,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_and_attributes_that_differ_are_told() {
        let change = told(&there(b"a\nb\nc\n", 0o600), b"a\nB\x1b[2J\nc\n", &Shade::Public);
        assert_eq!(change.attributes, ["mode 0600 -> 0644", "owner root -> app"]);
        assert_eq!(difference(change), "@@ -1,3 +1,3 @@\n a\n-b\n+B\\u{1b}[2J\n c\n");
        let change = told(&there(b"a\n", 0o600), b"a\n", &Shade::Public);
        assert_eq!((change.new, change.content), (false, Content::Same));
        let change = told(&There::Nothing, b"a", &Shade::Public);
        assert_eq!((change.new, change.attributes.join(", ")), (true, "mode 0644, owner app".to_owned()));
        assert_eq!(difference(change), "@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n");
    }

    #[test]
    fn what_is_no_text_or_too_large_has_sizes_and_digests() {
        for text in [b"a\0b".to_vec(), b"\xff".to_vec(), vec![b'a'; PREVIEW_TEXT_BYTES + 1]] {
            let Content::Bytes { was: Some(was), will } = told(&there(b"old\n", 0o644), &text, &Shade::Public).content
            else {
                panic!("{} bytes are shown", text.len());
            };
            assert_eq!((was.size_bytes, will.size_bytes), (4, text.len() as u64));
            assert_eq!(will.sha256, Some(store::Digest::of(&text).hex()));
        }
    }

    #[test]
    fn a_long_difference_is_cut() {
        let text = "a line\n".repeat(20_000);
        let shown = difference(told(&There::Nothing, text.as_bytes(), &Shade::Public));
        assert!(shown.len() < PREVIEW_DIFFERENCE_BYTES + 100, "{} bytes", shown.len());
        assert!(shown.contains("lines more\n"), "{}", &shown[shown.len() - 100..]);
    }

    #[test]
    fn lines_with_a_secret_and_whatever_was_there_before_are_hidden() {
        let new = format!("name=a\nport=80\npassword={SECRET}\n");
        let change = told(&there(b"password=old\nname=a\nport=81\n", 0o644), new.as_bytes(), &shade(&new));
        let shown = difference(change);
        assert_eq!(shown, "@@ -1,3 +1,3 @@\n-<secret>\n name=a\n-<secret>\n+port=80\n+<secret>\n");
        // A line that stays is hidden too, and a secret that is known is filtered wherever it is.
        let old = format!("password={SECRET}\nx=1\n");
        let shown = difference(told(
            &there(old.as_bytes(), 0o644),
            (old.clone() + "y=2\n").as_bytes(),
            &shade(&(old.clone() + "y=2\n")),
        ));
        assert_eq!(shown, "@@ -1,2 +1,3 @@\n <secret>\n x=1\n+y=2\n");
        let shown = difference(told(&there(old.as_bytes(), 0o644), b"x=1\n", &Shade::Public));
        assert_eq!(shown, "@@ -1,2 +1 @@\n-password=<secret>\n x=1\n");
    }

    #[test]
    fn where_the_lines_cannot_be_told_nothing_is_shown() {
        let new = format!("a\n{SECRET}\n");
        let other = Shade::Twice(["a\n".to_owned(), "a\nb\nc\n".to_owned()]);
        for shade in [other, Shade::Dark] {
            assert_eq!(told(&there(b"a\n", 0o644), new.as_bytes(), &shade).content, Content::Secret);
        }
        // Not its size or digest either.
        let binary = format!("\0{SECRET}");
        assert_eq!(told(&There::Nothing, binary.as_bytes(), &shade(&binary)).content, Content::Secret);
    }
}
