//! `--limit`: an operation on some of its hosts only.
//!
//! Invariant: a host that is not named is not touched. `--limit a,b` leaves every role those of its hosts that are named,
//! also the roles that have none of them; `--limit ROLE=a,b` says it of one role, and then of no other. What a role is
//! declared as still counts: one that needs a host and keeps none is refused.

use std::collections::{BTreeMap, BTreeSet};

use dsl::{RoleKind, Workflow};

use crate::report::Problem;

/// Hosts by role.
type Roles = BTreeMap<String, Vec<String>>;

/// What the command line says; nothing is limited where it says nothing.
#[derive(Debug, Default)]
pub struct Limit {
    /// Hosts by the role that they are named for.
    roles: BTreeMap<String, BTreeSet<String>>,
    /// Hosts of all other roles.
    hosts: BTreeSet<String>,
}

impl Limit {
    /// Reads `ROLE=a,b` and `a,b`.
    pub fn read(flags: &[String]) -> Result<Limit, Problem> {
        let mut limit = Limit::default();
        for flag in flags {
            let (role, names) = match flag.split_once('=') {
                Some((role, names)) => (Some(role.trim()), names),
                None => (None, flag.as_str()),
            };
            let names: BTreeSet<String> =
                names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
            if names.is_empty() || role == Some("") {
                return Err(Problem::usage(format!("--limit {flag}: it names no host"))
                    .hint("write --limit HOST,HOST or --limit ROLE=HOST,HOST"));
            }
            match role {
                Some(role) => limit.roles.entry(role.to_owned()).or_default().extend(names),
                None => limit.hosts.extend(names),
            }
        }
        Ok(limit)
    }

    /// The hosts that a role keeps, in its order, and those that are left out.
    pub fn of(&self, role: &str, slots: Vec<String>) -> (Vec<String>, Vec<String>) {
        match self.roles.get(role) {
            Some(names) => slots.into_iter().partition(|slot| names.contains(slot)),
            None if self.hosts.is_empty() => (slots, Vec::new()),
            None => slots.into_iter().partition(|slot| self.hosts.contains(slot)),
        }
    }

    /// Whether everything that is named is there, and every role has still what it needs.
    pub fn check(&self, kept: &Roles, left_out: &Roles, workflow: &Workflow) -> Result<(), Problem> {
        let before = |role: &str| -> Vec<&str> {
            let all = [kept.get(role), left_out.get(role)].into_iter().flatten().flatten();
            all.map(String::as_str).collect()
        };
        let roles = workflow.roles();
        for (role, names) in &self.roles {
            if !roles.iter().any(|known| known.name == role) {
                let known: Vec<&str> = roles.iter().map(|role| role.name).collect();
                return Err(unknown("role", role, &known, &format!("workflow `{}`", workflow.name())));
            }
            let known = before(role);
            if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(unknown("host", name, &known, &format!("role `{role}`")));
            }
        }
        let mut all: Vec<&str> = roles.iter().flat_map(|role| before(role.name)).collect();
        all.sort_unstable();
        all.dedup();
        if let Some(name) = self.hosts.iter().find(|name| !all.contains(&name.as_str())) {
            return Err(unknown("host", name, &all, "operation"));
        }
        for role in roles {
            let (min, needs) = match role.kind {
                RoleKind::One => (1, "exactly one host".to_owned()),
                RoleKind::Optional => (0, String::new()),
                RoleKind::Many { min, .. } => (min, format!("at least {min}")),
            };
            let kept = kept.get(role.name).map_or(0, Vec::len);
            let Some(left_out) = left_out.get(role.name).filter(|_| kept < min) else { continue };
            let all = before(role.name).len();
            let name = role.name;
            return Err(Problem::usage(format!(
                "--limit leaves the role `{name}` {kept} of its {all} hosts, and it needs {needs}"
            ))
            .hint(format!("name more of its hosts: {}", left_out.join(", "))));
        }
        Ok(())
    }
}

fn unknown(what: &str, name: &str, known: &[&str], of: &str) -> Problem {
    let problem = Problem::usage(format!("--limit: the {of} has no {what} `{name}`"));
    problem.hint(match dsl::nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("it has no {what} at all"),
        None => format!("it has {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(flags: &[&str]) -> Limit {
        Limit::read(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn kept(flags: &[&str], role: &str) -> String {
        let slots = ["a", "b", "c"].map(str::to_owned).to_vec();
        let (kept, left_out) = limit(flags).of(role, slots);
        assert_eq!(kept.len() + left_out.len(), 3);
        kept.join(",")
    }

    #[test]
    fn a_role_keeps_the_hosts_that_are_named_in_its_own_order() {
        assert_eq!(kept(&[], "web"), "a,b,c");
        assert_eq!(kept(&["c, a"], "web"), "a,c");
        assert_eq!(kept(&["web=b"], "web"), "b");
        assert_eq!(kept(&["web=b", "web=c"], "web"), "b,c");
        assert_eq!(kept(&["web=b"], "db"), "a,b,c", "another role is not limited");
        assert_eq!(kept(&["x"], "db"), "", "nothing that is not named is touched");
        assert_eq!(kept(&["web=b", "c"], "web"), "b", "what is said of the role itself counts");
        assert_eq!(kept(&["web=b", "c"], "db"), "c");
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for flag in ["", ",", "web=", "=a", " , "] {
            assert!(Limit::read(&[flag.to_owned()]).is_err(), "{flag}");
        }
    }
}
