//! What an operation takes from records when it is created: the hosts of roles, and what expressions see of an instance.
//!
//! Whoever creates an operation asks for it first, because he must say how those hosts are reached. What he then puts into the plan
//! is compared with the records in the commit that creates the operation, so an operation never begins with what was so before.

use std::collections::{BTreeMap, BTreeSet};

use dsl::expr::Template;
use dsl::plan::{InstanceSeen, Plan, RoleSource};
use serde::{Deserialize, Serialize};
use store::Store;

use super::{get, wirings};
use crate::error::{Error, Kind};
use crate::operation::{Content, Record, RecordKey};
use crate::runner::InputScope;

/// What a plan takes from records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// Which hosts, by role.
    pub roles: BTreeMap<String, Want>,
    /// Which instances expressions read, by their place in the plan.
    pub instances: BTreeMap<usize, String>,
}

/// The hosts that a role wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Want {
    /// Those that are wired to a registry.
    Wired {
        /// Name of its instance.
        registry: String,
    },
    /// Those that an instance is made of.
    Members {
        /// Its name.
        instance: String,
        /// Those of this role of it; all where absent.
        role: Option<String>,
    },
}

/// What the records say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filled {
    /// The slots of hosts, by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Of instances; none where there is no record.
    pub instances: BTreeMap<usize, Option<InstanceSeen>>,
}

/// The names of the instances that a plan declares.
pub fn declared(plan: &Plan) -> Result<Vec<String>, Error> {
    plan.instances.iter().map(|template| name(plan, template)).collect()
}

fn name(plan: &Plan, template: &Template) -> Result<String, Error> {
    match dsl::eval::render(template, &InputScope(plan)) {
        Ok(name) if !name.text.is_empty() => Ok(name.text),
        Ok(_) => Err(Error::new(Kind::Invalid, "the name of an instance is empty")),
        Err(error) => Err(Error::new(Kind::Invalid, format!("the name of an instance cannot be evaluated: {error}"))),
    }
}

impl Wants {
    /// What a plan takes from records; names follow from its inputs.
    pub fn of(plan: &Plan) -> Result<Wants, Error> {
        let mut wants = Wants::default();
        for (role, of) in &plan.roles {
            let Some(source) = &of.from else { continue };
            let name = name(plan, source.name())?;
            let want = match source {
                RoleSource::Wired { .. } => Want::Wired { registry: name },
                RoleSource::Members { role, .. } => Want::Members { instance: name, role: role.clone() },
            };
            wants.roles.insert(role.clone(), want);
        }
        for &of in plan.seen.keys() {
            if let Some(template) = plan.instances.get(of) {
                wants.instances.insert(of, name(plan, template)?);
            }
        }
        Ok(wants)
    }

    /// Whether that is nothing.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.instances.is_empty()
    }
}

impl Want {
    /// The instance whose records are read.
    pub fn instance(&self) -> &str {
        let (Want::Wired { registry: name } | Want::Members { instance: name, .. }) = self;
        name
    }
}

/// Reads what is wanted.
pub fn fill(store: &Store, wants: &Wants) -> Result<Filled, Error> {
    let mut filled = Filled::default();
    for (role, want) in &wants.roles {
        let slots = match want {
            Want::Wired { registry } => wirings(store, registry)?.into_keys().collect(),
            Want::Members { instance, role: of } => members(store, role, instance, of.as_deref())?,
        };
        if slots.len() > dsl::limits::SLOTS {
            let message = format!("the records fill the role `{role}` with {} hosts", slots.len());
            return Err(Error::new(Kind::Invalid, format!("{message}; the limit is {}", dsl::limits::SLOTS)));
        }
        filled.roles.insert(role.clone(), slots);
    }
    for (&of, name) in &wants.instances {
        let record = get(store, &RecordKey::Instance(name.clone()))?;
        filled.instances.insert(of, record.and_then(seen));
    }
    Ok(filled)
}

/// What expressions see of a record.
fn seen(record: Record) -> Option<InstanceSeen> {
    let Content::Instance { kind, members, values } = record.content else { return None };
    let slots = |members: Vec<crate::operation::Member>| members.into_iter().map(|member| member.slot).collect();
    Some(InstanceSeen { kind, members: members.into_iter().map(|(role, of)| (role, slots(of))).collect(), values })
}

fn members(store: &Store, role: &str, instance: &str, of: Option<&str>) -> Result<Vec<String>, Error> {
    let Some(seen) = get(store, &RecordKey::Instance(instance.to_owned()))?.and_then(seen) else {
        let message =
            format!("the role `{role}` is filled from the instance `{instance}`, of which nothing is recorded");
        return Err(Error::new(Kind::NotFound, message)
            .hint("`anneal instances` lists them; the workflow that makes an instance records it"));
    };
    let chosen: Vec<&Vec<String>> = match of {
        None => seen.members.values().collect(),
        Some(of) => match seen.members.get(of) {
            Some(slots) => vec![slots],
            None => {
                let known: Vec<&str> = seen.members.keys().map(String::as_str).collect();
                let message =
                    format!("the role `{role}` is filled from `{of}` of the instance `{instance}`, which has none");
                return Err(Error::new(Kind::NotFound, message).hint(match known.as_slice() {
                    [] => "no members are recorded of it".to_owned(),
                    known => format!("it has {}", known.join(", ")),
                }));
            }
        },
    };
    let mut slots: Vec<String> = Vec::new();
    for slot in chosen.into_iter().flatten() {
        if !slots.contains(slot) {
            slots.push(slot.clone());
        }
    }
    Ok(slots)
}

/// Whether the records still say what a plan was filled with; hosts that its limit left out are among them.
pub(crate) fn check(store: &Store, plan: &Plan) -> Result<(), Error> {
    let wants = Wants::of(plan)?;
    if wants.is_empty() {
        return Ok(());
    }
    let filled = fill(store, &wants)?;
    for (role, slots) in &filled.roles {
        let left_out: BTreeSet<&String> = plan.left_out.get(role).into_iter().flatten().collect();
        let has = plan.roles.get(role).map(|role| role.slots.iter().collect::<Vec<_>>()).unwrap_or_default();
        let says: Vec<&String> = slots.iter().filter(|slot| !left_out.contains(slot)).collect();
        if has != says || !left_out.iter().all(|slot| slots.contains(slot)) {
            return Err(changed(wants.roles[role].instance(), &format!(", which fills the role `{role}`,")));
        }
    }
    match filled.instances.iter().find(|(of, record)| plan.seen.get(of) != Some(record)) {
        Some((of, _)) => Err(changed(&wants.instances[of], "")),
        None => Ok(()),
    }
}

fn changed(instance: &str, which: &str) -> Error {
    let message = format!("what is recorded of the instance `{instance}`{which} has changed since it was read");
    Error::new(Kind::Changed, message).hint("run it again, with what is recorded now")
}
