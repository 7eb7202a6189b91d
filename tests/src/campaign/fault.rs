//! One fault: what is done to a copy of the data folder, and what must come of it.

use std::collections::BTreeSet;
use std::path::Path;

use super::broken::Broken;
use super::judge::{Judged, judge};
use super::stored::{Stored, copy};
use crate::anneal::Anneal;

/// What must come of a fault. Whatever it is, nothing is lost without a word, and nothing is run twice.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Everything is as before, and goes on.
    Fine,
    /// The same, and opening says this.
    Noted(&'static str),
    /// The store is not opened, and this is said.
    Refused(&'static str),
    /// These operations may be damaged, with these words; the others go on.
    Touches(BTreeSet<String>, &'static str),
    /// Any of these.
    Any,
}

/// Damages a data folder.
pub type Apply = Box<dyn Fn(&Path) + Send + Sync>;

/// A fault.
pub struct Fault {
    /// Its row in the table.
    pub kind: &'static str,
    /// Which one it is.
    pub what: String,
    /// What must come of it.
    pub expect: Expect,
    /// Whether it is done to the folder as the kill left it, without a clean end.
    pub after_kill: bool,
    /// Does it.
    pub apply: Apply,
}

impl Fault {
    /// Does it to a copy and judges what comes of it; whether the binary named it.
    ///
    /// # Panics
    /// When the copy cannot be made.
    pub fn survive(&self, stored: &Stored) -> Result<bool, Broken> {
        let anneal = stored.copy();
        if self.after_kill {
            copy(&stored.killed, anneal.data());
        }
        (self.apply)(anneal.data());
        let judged = judge(&anneal, stored)?;
        self.as_expected(&judged, &anneal.data().to_string_lossy()).map_err(Broken::Other)?;
        if judged.refused.is_some() {
            // What was refused is as it was once the damage is taken back.
            mended(&anneal, stored)?;
        }
        Ok(judged.named())
    }

    fn as_expected(&self, judged: &Judged, data: &str) -> Result<(), String> {
        let whole = judged.refused.is_none() && judged.damaged.is_empty();
        let fits = match &self.expect {
            Expect::Fine => whole,
            Expect::Noted(words) => whole && judged.notes.contains(words),
            Expect::Refused(words) => judged.refused.as_ref().is_some_and(|said| said.contains(words)),
            Expect::Touches(ids, words) => {
                let only = judged.damaged.keys().all(|id| ids.contains(id));
                judged.refused.is_none() && only && !judged.damaged.is_empty() && judged.said().contains(words)
            }
            // What is said names the file.
            Expect::Any => !judged.named() || judged.said().contains(data),
        };
        if fits { Ok(()) } else { Err(format!("wanted {:?}, and it came to {judged:?}", self.expect)) }
    }
}

/// The folder is put back as it was, and everything goes on.
fn mended(anneal: &Anneal, stored: &Stored) -> Result<(), Broken> {
    stored.restore(anneal);
    let judged = judge(anneal, stored)?;
    if judged.refused.is_none() && judged.damaged.is_empty() {
        Ok(())
    } else {
        Err(Broken::Other(format!("after the damage was taken back: {judged:?}")))
    }
}
