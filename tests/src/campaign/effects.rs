//! What was executed, as the executed programs noted it, held against the journal.

use std::collections::BTreeMap;

use super::broken::Broken;
use super::history::{Attempts, End, Way};
use crate::journal::{NodeId, Proof, Unknown};

/// One line of `effects`: `operation/step.slot/attempt what boot time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The operation.
    pub operation: String,
    /// The node.
    pub node: NodeId,
    /// The attempt.
    pub attempt: u32,
    /// `do`, `do-done`, `undo`, `undo-done` or `failed`.
    pub what: String,
}

/// Reads the lines of a host.
pub fn read(text: &str) -> Result<Vec<Effect>, Broken> {
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut mark = words.next().unwrap_or_default().split('/');
            let operation = mark.next()?.to_owned();
            let (step, key) = mark.next()?.split_once('.')?;
            // An undo's job has a name of its own; the lines themselves say which it is. No step can be called so.
            let step = step.strip_prefix("undo-").unwrap_or(step);
            let node = NodeId { step: step.to_owned(), key: key.to_owned() };
            Some(Effect { operation, node, attempt: mark.next()?.parse().ok()?, what: words.next()?.to_owned() })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Broken::Other(format!("the effects cannot be read:\n{text}")))
}

/// Holds the effects of one operation against its attempts. `counted` are the steps whose programs note what they do.
pub fn check(id: &str, effects: &[Effect], attempts: &Attempts, counted: &[&str]) -> Result<u64, Broken> {
    let mut lines: BTreeMap<(NodeId, u32), Vec<&str>> = BTreeMap::new();
    for effect in effects.iter().filter(|effect| effect.operation == id) {
        lines.entry((effect.node.clone(), effect.attempt)).or_default().push(&effect.what);
    }
    for ((node, attempt), what) in &lines {
        let of = format!("operation {id}, {node}, attempt {attempt}");
        let Some((way, end)) = attempts.get(&(node.clone(), *attempt)) else {
            return Err(Broken::Twice(format!("{of}: executed, and the journal does not know it: {what:?}")));
        };
        let (begins, ends) = match way {
            Way::Do => ("do", "do-done"),
            Way::Undo => ("undo", "undo-done"),
        };
        match (what.as_slice(), end) {
            // Nothing could end it in time: the host was restarted, or the job was ended for the next one.
            ([first], End::Unknown(why)) if *first == begins && *why != Unknown::NeverBegan => {}
            ([first], End::Open | End::Failed) if *first == begins && *way == Way::Undo => {}
            ([first], End::Succeeded(Proof::Person | Proof::Probe)) if *first == begins => {}
            ([first, last], End::Succeeded(_)) if (*first, *last) == (begins, ends) => {}
            ([first, "failed"], End::Failed) if *first == begins => {}
            // It ended, and the host died before the end was kept there.
            ([first, _], End::Unknown(Unknown::Rebooted)) if *first == begins => {}
            // An undo whose end was not learnt is repeated.
            ([first, last], End::Open) if (*first, *last) == (begins, ends) && *way == Way::Undo => {}
            (_, End::Unknown(Unknown::NeverBegan)) => {
                return Err(Broken::Twice(format!("{of}: the journal says that it never began: {what:?}")));
            }
            ([first, _], _) if *first == begins => {
                return Err(Broken::Lost(format!("{of}: {what:?} on the host, {end:?} in the journal")));
            }
            _ => return Err(Broken::Twice(format!("{of}: {what:?} on the host, {end:?} in the journal"))),
        }
    }
    for ((node, attempt), (way, end)) in attempts {
        let counts = counted.contains(&node.step.as_str()) && *end == End::Succeeded(Proof::Action);
        if counts && !lines.contains_key(&(node.clone(), *attempt)) {
            return Err(Broken::Lost(format!(
                "operation {id}, {node}, attempt {attempt}: {way:?} is recorded as done, and was not"
            )));
        }
    }
    Ok(lines.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str], end: End) -> Result<u64, Broken> {
        let node = NodeId { step: "a".to_owned(), key: "m".to_owned() };
        let text: String = lines.iter().map(|what| format!("op/a.m/1 {what} boot 1\n")).collect();
        check("op", &read(&text).unwrap(), &Attempts::from([((node, 1), (Way::Do, end))]), &["a"])
    }

    #[test]
    fn each_attempt_is_executed_as_the_journal_tells() {
        let done = End::Succeeded(Proof::Action);
        assert_eq!(of(&["do", "do-done"], done), Ok(1));
        assert_eq!(of(&["do", "failed"], End::Failed), Ok(1));
        assert_eq!(of(&["do"], End::Unknown(Unknown::Rebooted)), Ok(1));
        assert!(matches!(of(&["do", "do-done"], End::Open), Err(Broken::Lost(_))), "a result that nobody learnt");
        assert!(matches!(of(&[], done), Err(Broken::Lost(_))), "recorded and not done");
        assert!(matches!(of(&["do", "do", "do-done"], done), Err(Broken::Twice(_))), "done twice");
        assert!(matches!(of(&["do"], End::Unknown(Unknown::NeverBegan)), Err(Broken::Twice(_))), "a late start");
    }
}
