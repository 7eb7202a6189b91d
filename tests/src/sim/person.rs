//! People: one who looks after what rests, and others who ask for anything at any time.

use engine::operation::{Activity, CancelMode, Decision, Life, NodeId, Operation, Verb, World as Handed};

use super::locks::OfOperation;
use super::world::{Happening, World};

/// Verbs that a person has asked for before they give up.
const PATIENCE: u32 = 30;

impl World {
    /// A person comes to an operation that rests: decides what is open, resumes a few times, then rolls back or gives up.
    pub fn person(&mut self, op: usize) -> Result<(), String> {
        self.ops[op].resumes += 1;
        let resumes = self.ops[op].resumes;
        let Some(driver) = &self.ops[op].driver else { return Ok(()) };
        let operation = driver.operation();
        let verb = match &operation.life {
            life if life.is_final() => return Ok(()),
            _ if operation.open_gates().next().is_some() && operation.legal().contains(&"approve") => {
                let what = operation.open_gates().next().map(NodeId::to_string).into_iter().collect();
                if self.rng.u8(0..4) > 0 { Verb::Approve { what } } else { Verb::Reject { what } }
            }
            Life::FailedTemp { .. } if resumes > 4 => {
                if resumes > 8 || self.rng.bool() {
                    Verb::Fail
                } else {
                    Verb::Rollback
                }
            }
            life if resumes > PATIENCE && life.is_live() => Verb::Kill,
            life if life.activity().is_some_and(|activity| matches!(activity, Activity::Paused { .. }))
                && resumes > 12 =>
            {
                Verb::Cancel { mode: CancelMode::Graceful }
            }
            // It goes on by itself: it was asked for something else meanwhile.
            life if life.activity().is_some_and(|activity| !matches!(activity, Activity::Paused { .. })) => {
                return Ok(());
            }
            _ => Verb::Resume { decisions: self.decisions(op, operation) },
        };
        self.ask(op, &verb, true)
    }

    fn decisions(&self, op: usize, operation: &Operation) -> std::collections::BTreeMap<NodeId, Decision> {
        let undecided = operation.undecided().into_iter().cloned();
        undecided
            .map(|node| {
                let there = self.hosts.is_there(&(op, node.clone()));
                let decision = if there { Decision::Done } else { Decision::Rerun };
                (node, decision)
            })
            .collect()
    }

    /// Anything, at any time. What is not legal must be refused, and what is must not be – but for its arguments.
    pub fn meddles(&mut self, op: usize) -> Result<(), String> {
        if !self.engine_runs {
            return Ok(());
        }
        let Some(driver) = &self.ops[op].driver else { return Ok(()) };
        let operation = driver.operation();
        if operation.nodes.is_empty() {
            return Ok(());
        }
        let any = |rng: &mut fastrand::Rng| vec![operation.nodes[rng.usize(0..operation.nodes.len())].id.to_string()];
        let verb = match self.rng.u8(0..14) {
            0 | 1 => Verb::Pause,
            2 => Verb::Cancel { mode: CancelMode::Graceful },
            3 | 4 => Verb::Cancel { mode: CancelMode::Forceful },
            5 => Verb::Rollback,
            6 => Verb::Fail,
            7 if self.rng.u8(0..4) == 0 => Verb::Kill,
            8 => Verb::Skip { what: any(&mut self.rng) },
            9 => Verb::Mark { what: any(&mut self.rng), out: Default::default() },
            10 => Verb::ResumeFrom { from: any(&mut self.rng) },
            11 => Verb::Retry,
            12 => Verb::Approve { what: Vec::new() },
            _ => Verb::Resume { decisions: self.decisions(op, operation) },
        };
        self.ask(op, &verb, false)?;
        // Somebody looks after what comes of it.
        if let Some(hand) = self.ops[op].driver.as_ref().map(|_| self.ops[op].hand) {
            let thinks = self.rng.u64(1..100_000);
            self.after(thinks, Happening::Person { op, hand });
        }
        Ok(())
    }

    fn ask(&mut self, op: usize, verb: &Verb, must: bool) -> Result<(), String> {
        let now_ms = self.clock_ms(op);
        let mut chance = self.rng.fork();
        let Some(driver) = &mut self.ops[op].driver else { return Ok(()) };
        let legal = driver.operation().legal().contains(&verb.word());
        let before = driver.operation().seq;
        let places = &mut OfOperation { table: &mut self.table, operation: op };
        let handed = &mut Handed { now_ms, jitter: &mut || chance.f64(), places, records: &self.known };
        self.report.verbs += 1;
        match driver.verb(verb, "person", "simulated", handed).map_err(|illegal| illegal.to_string())? {
            Ok(decided) if legal => {
                self.ops[op].killed |= *verb == Verb::Kill;
                self.carry_out(op, Vec::new(), decided)
            }
            Ok(_) => Err(format!("`{}` is not legal and was done", verb.word())),
            Err(refused) if must => Err(format!("{verb:?} refused: {refused}")),
            Err(_) if driver.operation().seq != before => Err(format!("{verb:?} was refused and left a trace")),
            Err(_) => {
                self.report.refused += 1;
                Ok(())
            }
        }
    }
}
