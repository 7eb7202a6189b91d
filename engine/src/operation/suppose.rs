//! An operation that nobody creates: its events are supposed, to see where a run would come to (see [`crate::preview`]).
//!
//! It is laid out and changed by the same code as a real one, so what is ready, and what a node reads, is what it would be in a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::{EdgeKind, Plan};
use uuid::Uuid;

use super::event::{Entry, Event, JOURNAL_FORMAT, Outcome};
use super::hosts::HostRecord;
use super::life::Life;
use super::node::NodeId;
use super::state::{Operation, Phase};

impl Operation {
    /// The operation that would be created of a plan. Its id is that of nothing that is stored.
    pub(crate) fn supposed(
        plan: Arc<Plan>,
        hosts: BTreeMap<String, HostRecord>,
        id: Uuid,
    ) -> Result<Operation, String> {
        let event = Event::Created {
            format: JOURNAL_FORMAT,
            operation: id,
            plan: String::new(),
            workflow: plan.workflow.clone(),
            by: String::new(),
            hosts,
            // Whether another operation holds them is of the moment in which it is created.
            locks: Vec::new(),
        };
        Operation::create(plan, &Entry { seq: 1, at_ms: 0, event }).map_err(|illegal| illegal.why)
    }

    /// Takes an event for one that happened.
    pub(crate) fn suppose(&mut self, event: Event) -> Result<(), String> {
        let entry = Entry { seq: self.seq + 1, at_ms: self.at_ms, event };
        self.apply(&entry).map_err(|illegal| illegal.to_string())
    }

    /// Where a node is among the nodes.
    pub(crate) fn place(&self, id: &NodeId) -> Option<usize> {
        self.place_of(id)
    }

    /// The nodes whose turn it is: all that must be over before them is.
    pub(crate) fn next_nodes(&self) -> Vec<usize> {
        self.of_phase(&self.derived.ready, self.phase()).collect()
    }

    /// The steps whose elements can be told now, if they can be told at all.
    pub(crate) fn next_steps(&self) -> Vec<usize> {
        self.steps_of(self.phase()).filter(|&step| self.is_expandable(step)).collect()
    }

    /// Goes on to the steps of `finally`, as after a success. False where it has gone there before.
    pub(crate) fn suppose_finally(&mut self) -> Result<bool, String> {
        match self.phase() {
            Phase::Finally => Ok(false),
            Phase::Body => {
                let outcome = Outcome::Completed { outputs: BTreeMap::new() };
                self.suppose(Event::Finally { outcome }).map(|()| true)
            }
        }
    }

    /// The nodes that must be over before this one; for a step of `finally`, all of the others too.
    pub(crate) fn nodes_before(&self, index: usize) -> Vec<usize> {
        let step = self.nodes[index].step;
        let offset = index - self.steps[step].first;
        let mut before = Vec::new();
        for edge in &self.plan.steps[step].needs {
            let nodes = &self.steps[edge.step];
            match edge.kind {
                EdgeKind::Keyed if nodes.expanded => before.push(nodes.first + offset),
                EdgeKind::Keyed => {}
                EdgeKind::Barrier => before.extend(nodes.first..nodes.first + nodes.count),
            }
        }
        if self.phase_of(step) == Phase::Finally {
            let body = |index: &usize| self.phase_of(self.nodes[*index].step) == Phase::Body;
            before.extend((0..self.nodes.len()).filter(body));
        }
        before
    }

    fn phase(&self) -> Phase {
        match &self.life {
            Life::Finishing { .. } => Phase::Finally,
            Life::Processing(_)
            | Life::RollingBack(_)
            | Life::Completed { .. }
            | Life::FailedTemp { .. }
            | Life::Failed { .. }
            | Life::RolledBack => Phase::Body,
        }
    }
}
