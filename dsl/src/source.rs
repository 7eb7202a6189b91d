//! What the compiler is handed: the text of a workflow, and the files around it.
//!
//! The compiler does no I/O. Where it needs a file it asks [`Files`], which the caller implements. What a path may be is
//! decided here (`paths never leave the workflow's folder`); that no symbolic link leads out of it is the caller's part.

use std::fmt;
use std::ops::Range;

use crate::value::FileRef;

/// A workflow file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name as people know it, usually the path as they gave it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The files that a workflow names. The caller does the reading; an error is a reason for people.
pub trait Files {
    /// The bytes of a script or file that belongs to the workflow. The path is relative to the workflow's folder, has no
    /// `..` and is not absolute; an implementation must not follow links out of that folder.
    fn asset(&self, path: &str) -> Result<Vec<u8>, String>;

    /// A file on the operator's machine, named by an input of type `File`.
    fn file(&self, path: &str) -> Result<FileRef, String>;

    /// The text of a file on the operator's machine, named by an input of type `SecretFile`. An error never repeats it.
    fn secret_file(&self, path: &str) -> Result<String, String>;

    /// A workflow that is called by this one, by the name that `Call` gives: a file beside it, or one that is known by name.
    fn workflow(&self, name: &str) -> Result<Called, String> {
        let _ = name;
        Err("no other workflow is at hand here".to_owned())
    }
}

/// A workflow that is called, with the files around it.
pub struct Called {
    /// Its text. The name of the source says which it is: no two workflows have the same.
    pub source: Source,
    /// Its files.
    pub files: Box<dyn Files>,
}

/// Something with the bytes of the source that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned<T> {
    /// What was read.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) span: Range<usize>,
}

impl<T> Spanned<T> {
    pub(crate) fn new(value: T, span: Range<usize>) -> Spanned<T> {
        Spanned { value, span }
    }
}

/// The longest part of a text that a message repeats.
const SHOWN_CHARS: usize = 60;

/// A text as messages repeat it: in backticks, without control characters, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    format!("`{}`", plain(text))
}

/// [`quote`] without the backticks.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() || ('\u{200b}'..='\u{200f}').contains(&c) || ('\u{202a}'..='\u{2069}').contains(&c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Names in a sentence: `a`, `b` and `c`.
pub(crate) fn list_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const SHOWN: usize = 24;
    let names: Vec<String> = names.into_iter().map(|name| quote(name.as_ref())).collect();
    if names.len() > SHOWN {
        return format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN);
    }
    match names.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}

/// What there is to choose from, as a help.
pub(crate) fn there_are<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<S> = names.into_iter().collect();
    match names.len() {
        0 => "there are none".to_owned(),
        1 => format!("there is only {}", list_names(names)),
        _ => format!("there are {}", list_names(names)),
    }
}

/// A reason that somebody else worded: on one line, without control characters, cut where it is very long.
pub(crate) fn sentence(reason: &str) -> String {
    const SHOWN: usize = 300;
    let words: Vec<&str> = reason.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// `1 step`, `2 steps`.
pub(crate) fn count(n: usize, noun: &str) -> impl fmt::Display {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
