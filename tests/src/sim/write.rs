//! The commit: what is durable when the engine dies around it, when the disk is full, when a sync fails; then the effects.

use engine::operation::{Activity, Decided, Effect, Entry, Event, Life, Rest};

use super::world::{Happening, World};
use super::{check, records};

/// What goes wrong around a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// The engine dies, and nothing of the write is kept.
    Before,
    /// It dies, and a part of it is kept: a long write is several commits, each of which leaves the journal valid.
    Torn,
    /// It dies, the write is kept, and nobody was told. So it is after a failed sync: the process ends, and the write is there
    /// or not.
    Unacknowledged,
    /// The write was acknowledged and the effects it intends have begun to leave.
    After,
    /// The disk is full: the write is refused, nothing of it is kept, and the engine lives.
    Full,
}

/// All of them.
pub(super) const DEATHS: [Death; 5] = [Death::Before, Death::Torn, Death::Unacknowledged, Death::After, Death::Full];

impl World {
    /// The commit, with what goes wrong around it, and then the effects.
    pub fn carry_out(&mut self, op: usize, mut entries: Vec<Entry>, decided: Decided) -> Result<(), String> {
        entries.extend(decided.entries);
        let mut gave = decided.gave;
        let left_over = std::mem::take(&mut self.ops[op].left_over);
        // Some of it may have been taken again meanwhile.
        if let Some(driver) = &self.ops[op].driver {
            gave.extend(driver.left_over(left_over));
        }
        let locked = entries.iter().any(|entry| entry.event == Event::Locked);
        let ended = self.ops[op].life().is_some_and(Life::is_final);
        let mut death = None;
        let writes = !entries.is_empty() || !gave.is_empty();
        if writes {
            death = self.fault();
            let all = entries.len();
            let kept = match death {
                Some(Death::Before | Death::Full) => 0,
                Some(Death::Torn) => self.rng.usize(0..all.max(1)),
                Some(Death::Unacknowledged | Death::After) | None => all,
            };
            // Locks are taken with the first of several commits, and given back with the last.
            if kept > 0 || all == 0 {
                self.records.took(op, &decided.took);
                if locked {
                    let locks = self.ops[op].locks.clone();
                    self.records.take_all(op, &locks);
                }
            }
            let wrote_all = kept == all && !matches!(death, Some(Death::Before | Death::Full | Death::Torn));
            if wrote_all {
                self.records.gave(op, &gave);
                if ended {
                    self.records.ended(op);
                }
            }
            // Records change with the entries that say so.
            for entry in &entries[..kept] {
                records::keep(op, entry, &mut self.known)?;
            }
            self.ops[op].keeps(entries.into_iter().take(kept))?;
        }
        match death {
            Some(Death::Before | Death::Torn | Death::Unacknowledged) => return self.die(),
            Some(Death::Full) => return self.lets_go(op, &decided.took),
            Some(Death::After) | None => {}
        }
        self.table.gave(op, &gave);
        if ended {
            self.table.ended(op);
        }
        if !gave.is_empty() || (ended && writes) {
            self.freed();
        }
        if let Some(driver) = &self.ops[op].driver {
            check::same_as_live(self.ops[op].durable.as_ref(), driver.operation())?;
        }
        for effect in decided.effects {
            self.begin(op, effect);
        }
        if death == Some(Death::After) {
            return self.die();
        }
        let hand = self.ops[op].hand;
        self.report.waits += u64::from(!decided.blocked.is_empty());
        match decided.rest {
            Rest::Stuck => {
                let nodes = self.ops[op].driver.as_ref().map(|driver| check::words(driver.operation()));
                return Err(format!("I6: operation {op} is stuck: {:?} {nodes:?}", self.ops[op].life()));
            }
            Rest::Waits | Rest::Ended => {
                let thinks = self.rng.u64(1..100_000);
                self.after(thinks, Happening::Person { op, hand });
            }
            Rest::Busy => {
                if let Some(at_ms) = decided.wake_at_ms {
                    let wait_ms = at_ms.saturating_sub(self.clock_ms(op));
                    self.after(wait_ms, Happening::Wakes { op, hand });
                }
                let gate =
                    self.ops[op].driver.as_ref().is_some_and(|driver| driver.operation().open_gates().next().is_some());
                if gate {
                    let thinks = self.rng.u64(1..100_000);
                    self.after(thinks, Happening::Person { op, hand });
                }
                self.queued(op);
            }
        }
        Ok(())
    }

    /// An operation that waits for its own locks is told when others give theirs back; perhaps they have meanwhile.
    fn queued(&mut self, op: usize) {
        if self.ops[op].life() == Some(&Life::Processing(Activity::Queued)) {
            self.report.waits += 1;
            let hand = self.ops[op].hand;
            let free = self.ops[op]
                .locks
                .iter()
                .all(|lock| self.table.operations.get(lock).is_none_or(|holder| *holder == op));
            if free {
                self.after(1, Happening::Freed { op, hand });
            }
        }
    }

    /// Whoever waits for a lock looks again.
    fn freed(&mut self) {
        for op in 0..self.ops.len() {
            let hand = self.ops[op].hand;
            let late = self.rng.u64(0..50);
            self.after(late, Happening::Freed { op, hand });
        }
    }

    fn fault(&mut self) -> Option<Death> {
        let write = self.report.writes;
        self.report.writes += 1;
        match self.death {
            Some((at, death)) if at == write => Some(death),
            _ if self.random_faults > 0 && self.rng.u8(0..10) == 0 => {
                self.random_faults -= 1;
                self.rng.choice(DEATHS)
            }
            _ => None,
        }
    }

    fn die(&mut self) -> Result<(), String> {
        self.report.crashes += 1;
        self.engine_runs = false;
        for op in &mut self.ops {
            op.driver = None;
        }
        let down = self.rng.u64(0..40_000);
        self.after(down, Happening::EngineStarts);
        Ok(())
    }

    /// The write of one operation was refused: its state in memory is thrown away, and the others go on (I11).
    fn lets_go(&mut self, op: usize, took: &[(String, engine::operation::NodeId)]) -> Result<(), String> {
        self.report.full += 1;
        self.ops[op].driver = None;
        self.table.gave(op, took);
        if self.ops[op].journal.is_empty() {
            self.table.ended(op);
        }
        self.freed();
        let cleared = self.rng.u64(1..40_000);
        self.after(cleared, Happening::Taken { op });
        Ok(())
    }

    fn begin(&mut self, op: usize, effect: Effect) {
        let hand = self.ops[op].hand;
        let latency = self.rng.u64(1..200);
        match effect {
            Effect::Do { node, attempt } => {
                if self.waits(op, &node) {
                    let fails = self.rng.u8(0..6) == 0;
                    let takes = self.rng.u64(1..20_000);
                    self.after(takes, Happening::Waited { op, node, attempt, hand, fails });
                } else {
                    self.send(op, node, attempt, false, latency);
                }
            }
            Effect::Undo { node, attempt } => self.send(op, node, attempt, true, latency),
            Effect::Reattach { node, attempt, .. } => self.after(latency, Happening::Looks { op, node, attempt, hand }),
            Effect::Probe { node, attempt } => self.after(latency, Happening::Probed { op, node, attempt, hand }),
            Effect::Kill { node, attempt } => self.after(latency, Happening::Killed { op, node, attempt }),
        }
    }
}
