//! Between engine and hosts: what is sent, lost, late, silent, found again and read.

use std::collections::BTreeMap;

use dsl::plan::Action;
use dsl::value::Value;
use engine::operation::{Failure, FailureClass, Input, NodeId, NodeOutcome, NodeState, Unknown};

use super::check;
use super::hosts::{Fate, Found, Name};
use super::plans::ITEMS;
use super::world::{Happening, World};

impl World {
    fn learn(&mut self, op: usize, node: NodeId, attempt: u32, outcome: NodeOutcome) -> Result<(), String> {
        self.decide(op, vec![Input::Node { node, attempt, outcome }])
    }

    pub fn waits(&self, op: usize, node: &NodeId) -> bool {
        let step = self.ops[op].plan.steps.iter().find(|step| step.id == node.step);
        step.is_some_and(|step| matches!(step.action, Action::Wait { .. }))
    }

    /// The host of a node.
    fn slot(&self, op: usize, node: &NodeId) -> String {
        let step = self.ops[op].plan.steps.iter().find(|step| step.id == node.step);
        match step {
            Some(step) if step.each.is_some() || step.run_at.is_some() => "b".to_owned(),
            _ => node.key.clone(),
        }
    }

    /// A job's start leaves for its host; sometimes the connection dies first, and the executor looks for it.
    pub fn send(&mut self, op: usize, node: NodeId, attempt: u32, undo: bool, latency: u64) {
        let hand = self.ops[op].hand;
        // Whatever may still run of an earlier attempt is ended before anything is sent.
        self.end_earlier(op, &node);
        if self.rng.u8(0..15) == 0 {
            self.report.lost += 1;
            // Lost on the way, or very late: the fence decides which of the two is first.
            let late = self.rng.u64(1..3_000);
            if self.rng.bool() {
                self.after(late, Happening::Arrives { op, node: node.clone(), attempt, undo, hand });
            }
            let look = self.rng.u64(1..3_000);
            self.after(look, Happening::Looks { op, node, attempt, hand });
        } else {
            self.after(latency, Happening::Arrives { op, node, attempt, undo, hand });
        }
    }

    fn end_earlier(&mut self, op: usize, node: &NodeId) {
        let known = self.ops[op].driver.as_ref().and_then(|driver| driver.operation().node(node));
        let earlier: Vec<u32> = known.iter().flat_map(|node| &node.may_run).map(|earlier| earlier.attempt).collect();
        for attempt in earlier {
            self.hosts.kill(&((op, node.clone()), attempt));
        }
    }

    pub fn arrives(&mut self, op: usize, node: NodeId, attempt: u32, undo: bool, hand: u32) -> Result<(), String> {
        let name: Name = ((op, node.clone()), attempt);
        let alive = self.engine_runs && self.ops[op].hand == hand && self.ops[op].driver.is_some();
        // The probe is asked first.
        let step = self.ops[op].plan.steps.iter().find(|step| step.id == node.step);
        let probes = step.and_then(|step| step.probe.as_ref()).is_some_and(|probe| !probe.always);
        if !undo && probes && alive && self.hosts.is_there(&name.0) {
            return self.learn(op, node, attempt, NodeOutcome::AlreadySo);
        }
        let slot = self.slot(op, &node);
        if self.hosts.begin(&name, &slot, undo) {
            self.report.jobs += 1;
            check::may_begin(&self.ops, op, &self.hosts, &node, attempt, undo)?;
            let fate = Fate::draw(&mut self.rng);
            self.after(fate.effect_after_ms, Happening::Effect { op, node: node.clone(), attempt });
            let (exit, vanishes) = (fate.exit, fate.vanishes);
            self.after(fate.ends_after_ms, Happening::JobEnds { op, node: node.clone(), attempt, exit, vanishes });
        }
        if alive {
            // A half-open connection: nothing comes any more, and only the keep-alive tells.
            if self.rng.u8(0..25) == 0 {
                self.report.lost += 1;
                let silent = self.rng.u64(15_000..90_000);
                let next = if self.rng.bool() {
                    Happening::Looks { op, node, attempt, hand }
                } else {
                    Happening::GivesUp { op, node, attempt, hand }
                };
                self.after(silent, next);
            } else {
                let soon = self.rng.u64(1..1_000);
                self.after(soon, Happening::Looks { op, node, attempt, hand });
            }
        }
        Ok(())
    }

    pub fn looks(&mut self, op: usize, node: NodeId, attempt: u32) -> Result<(), String> {
        let hand = self.ops[op].hand;
        let slot = self.slot(op, &node);
        match self.hosts.find(&((op, node.clone()), attempt), &slot) {
            Found::Running => {
                let soon = self.rng.u64(100..2_000);
                self.after(soon, Happening::Looks { op, node, attempt, hand });
                Ok(())
            }
            Found::Exited(_) => {
                // Much output over a slow connection.
                let slow = if self.rng.u8(0..10) == 0 { self.rng.u64(1_000..60_000) } else { 0 };
                self.after(slow, Happening::Read { op, node, attempt, hand });
                Ok(())
            }
            Found::NeverBegan => self.learn(op, node, attempt, NodeOutcome::Unknown(Unknown::NeverBegan)),
            Found::Rebooted => self.learn(op, node, attempt, NodeOutcome::Unknown(Unknown::Rebooted)),
            Found::Vanished => self.learn(op, node, attempt, NodeOutcome::Unknown(Unknown::Vanished)),
        }
    }

    /// The end of a job and all its output.
    pub fn read(&mut self, op: usize, node: NodeId, attempt: u32) -> Result<(), String> {
        let slot = self.slot(op, &node);
        let outcome = match self.hosts.find(&((op, node.clone()), attempt), &slot) {
            Found::Exited(0) => NodeOutcome::Succeeded { out: out(&node), changed: true, output: None },
            Found::Exited(code) => NodeOutcome::Failed { failure: failure(FailureClass::Exit(code)), output: None },
            other => return Err(format!("{node} had ended and is now {other:?}")),
        };
        self.learn(op, node, attempt, outcome)
    }

    pub fn gives_up(&mut self, op: usize, node: NodeId, attempt: u32) -> Result<(), String> {
        self.learn(op, node, attempt, NodeOutcome::Unknown(Unknown::Unreachable))
    }

    pub fn probed(&mut self, op: usize, node: NodeId, attempt: u32) -> Result<(), String> {
        self.end_earlier(op, &node);
        let outcome = match (self.rng.u8(0..12), self.hosts.is_there(&(op, node.clone()))) {
            (0, _) => NodeOutcome::ProbedUnknown(failure(FailureClass::ProbeUnknown)),
            (_, true) => NodeOutcome::ProbedThere,
            (_, false) => NodeOutcome::ProbedNotThere,
        };
        self.learn(op, node, attempt, outcome)
    }

    pub fn waited(&mut self, op: usize, node: NodeId, attempt: u32, fails: bool) -> Result<(), String> {
        let outcome = if fails {
            NodeOutcome::Failed { failure: failure(FailureClass::Timeout), output: None }
        } else {
            NodeOutcome::Succeeded { out: BTreeMap::new(), changed: true, output: None }
        };
        let runs = |state: &NodeState| matches!(state, NodeState::Running { .. });
        let known = self.ops[op].driver.as_ref().and_then(|driver| driver.operation().node(&node));
        if known.is_some_and(|node| runs(&node.state)) { self.learn(op, node, attempt, outcome) } else { Ok(()) }
    }
}

/// What a step puts out: a list, the same each time.
fn out(node: &NodeId) -> BTreeMap<String, Value> {
    let count = node.step.bytes().map(usize::from).sum::<usize>() % 4;
    let items = ["p", "q", "r"].iter().take(count).map(|item| Value::Text((*item).to_owned())).collect();
    BTreeMap::from([(ITEMS.to_owned(), Value::List(items))])
}

fn failure(class: FailureClass) -> Failure {
    Failure { class, message: "simulated".to_owned(), hint: None }
}
