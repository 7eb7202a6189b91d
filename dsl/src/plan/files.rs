//! Files that a step writes or changes on its host.

use serde::{Deserialize, Serialize};

use super::{Action, CopySpec};
use crate::expr::{Expr, Template};

/// A file, and what it is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Absolute path on the host; never secret.
    pub to: Template,
    /// What is in it; may be secret.
    pub content: FileContent,
    /// Permission bits. Absent: [`FileSpec::mode`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Its owner, a name or a number; never secret. Absent: whoever writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Template>,
    /// Its group, likewise. Absent: what the host gives a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Template>,
    /// Whether the file that was there is kept until the operation has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A text of the workflow.
    Text(Template),
    /// A Jinja template, which sees its `vars` and nothing else.
    Jinja {
        /// Path in [`Plan::assets`](super::Plan::assets).
        asset: String,
        /// What it sees, in the order of the workflow.
        vars: Vec<(String, Datum)>,
    },
}

/// What a file is patched with. It may hold secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Patch {
    /// JSON, merged as RFC 7386 says: maps into maps, `None` removes, everything else replaces.
    Json {
        /// What is merged into it.
        merge: Vec<(String, Datum)>,
    },
    /// TOML, merged likewise.
    Toml {
        /// What is merged into it.
        merge: Vec<(String, Datum)>,
    },
    /// YAML, merged likewise.
    Yaml {
        /// What is merged into it.
        merge: Vec<(String, Datum)>,
    },
    /// Lines of text.
    Lines {
        /// These stand in it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ensure: Vec<Template>,
        /// These do not.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        absent: Vec<Template>,
        /// A line in which a pattern is found becomes this one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replace: Vec<ReplaceLine>,
    },
}

/// A line that is said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceLine {
    /// A pattern of the `regex` crate.
    pub pattern: String,
    /// The whole line that stands there then.
    pub with: Template,
}

impl Patch {
    /// Whether a secret flows into it.
    pub fn is_secret(&self) -> bool {
        match self {
            Patch::Json { merge } | Patch::Toml { merge } | Patch::Yaml { merge } => {
                merge.iter().any(|(_, datum)| datum.is_secret())
            }
            Patch::Lines { .. } => self.lines().any(|line| line.secret),
        }
    }

    /// All texts of `Lines`.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Template> {
        let (ensure, absent, replace): (&[_], &[_], &[ReplaceLine]) = match self {
            Patch::Json { .. } | Patch::Toml { .. } | Patch::Yaml { .. } => (&[], &[], &[]),
            Patch::Lines { ensure, absent, replace } => (ensure, absent, replace),
        };
        ensure.iter().chain(absent).chain(replace.iter().map(|replace| &replace.with))
    }
}

/// A value that is written as data – a number, a list, a map – with expressions in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datum {
    /// `None`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text, perhaps with expressions in it.
    Text(Template),
    /// `"${{ … }}"`: whatever the expression gives, of its own type.
    Value {
        /// The expression.
        expr: Expr,
        /// Whether a secret flows into it.
        secret: bool,
    },
    /// `[…]`
    List(Vec<Datum>),
    /// `{…}`, in the order of the workflow.
    Map(Vec<(String, Datum)>),
}

impl FileSpec {
    /// The permission bits that it gets: where nothing is said, those of a secret if a secret is in it.
    pub fn mode(&self) -> u32 {
        self.mode.unwrap_or(if self.content.is_secret() { 0o600 } else { 0o644 })
    }
}

impl Action {
    /// The files that it writes.
    pub fn files(&self) -> &[FileSpec] {
        match self {
            Action::WriteFiles { files } => files,
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Upload { .. }
            | Action::Wait { .. }
            | Action::Gate { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Reboot { .. }
            | Action::Assert { .. }
            | Action::Local { .. }
            | Action::Http(_)
            | Action::Notify(_)
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Facts
            | Action::Restore => &[],
        }
    }

    /// Whether it keeps what was there before, so that [`Action::Restore`] can put it back.
    pub fn keeps_backup(&self) -> bool {
        let files = self.files();
        self.is_record()
            || matches!(self, Action::PatchFile { .. } | Action::Copy(CopySpec { backup: true, .. }))
            || (!files.is_empty() && files.iter().all(|file| file.backup))
    }

    /// Whether the engine itself does it, by something that is harmless to repeat: nothing on the host outlives the engine,
    /// and an attempt that was cut off is simply done again.
    pub fn is_in_engine(&self) -> bool {
        match self {
            Action::Upload { .. }
            | Action::WriteFiles { .. }
            | Action::PatchFile { .. }
            | Action::Download(_)
            | Action::Copy(_)
            | Action::Wait { .. }
            | Action::Assert { .. }
            | Action::Record(_)
            | Action::Forget(_)
            | Action::Facts => true,
            Action::Notify(_) => self.site().is_none(),
            Action::Run { .. }
            | Action::Shell { .. }
            | Action::Script { .. }
            | Action::Local { .. }
            | Action::Http(_)
            | Action::Gate { .. }
            | Action::Reboot { .. }
            | Action::Restore => false,
        }
    }
}

impl FileContent {
    /// Whether a secret flows into it.
    pub fn is_secret(&self) -> bool {
        match self {
            FileContent::Text(text) => text.secret,
            FileContent::Jinja { vars, .. } => vars.iter().any(|(_, datum)| datum.is_secret()),
        }
    }
}

impl Datum {
    /// Whether a secret flows into it.
    pub fn is_secret(&self) -> bool {
        match self {
            Datum::Null | Datum::Bool(_) | Datum::Int(_) | Datum::Float(_) => false,
            Datum::Text(text) => text.secret,
            Datum::Value { secret, .. } => *secret,
            Datum::List(list) => list.iter().any(Datum::is_secret),
            Datum::Map(map) => map.iter().any(|(_, datum)| datum.is_secret()),
        }
    }
}
