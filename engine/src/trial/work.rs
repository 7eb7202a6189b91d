//! Attempts at work on model hosts: how they begin, have their effect, end, and what is done to them meanwhile.

use dsl::plan::Action;
use dsl::value::Value;

use super::hosts::Record;
use super::injection::{Injection, Moment};
use super::world::{Happening, World};
use crate::operation::{Failure, FailureClass, NodeId, NodeOutcome, Unknown};

impl World<'_> {
    /// An attempt reaches its host: what may be there is asked first, as in earnest.
    pub(super) fn arrives(&mut self, node: NodeId, attempt: u32, undo: bool) -> Result<(), String> {
        let Some(step) = self.step(&node) else { return Err(format!("`{node}` has no step")) };
        let disturbs = self.disturbs(&node, undo);
        if let Some(Injection::Error { class: FailureClass::Connection, .. }) = disturbs {
            return self.learn(node, attempt, failed(FailureClass::Connection));
        }
        let asks = step.probe.as_ref().is_some_and(|probe| !probe.always);
        if !undo && asks && self.hosts.is_there(&node) {
            self.probed.insert(node.clone());
            return self.learn(node, attempt, NodeOutcome::AlreadySo);
        }
        let life = self.life;
        let in_engine = !undo && (step.is_in_engine() || step.action.is_untraceable());
        if in_engine {
            self.hosts.note(&node, false);
            self.after(1, Happening::Works { node: node.clone(), attempt, life });
            self.after(2, Happening::Finishes { node: node.clone(), attempt, life });
        } else {
            if self.hosts.begin(&(node.clone(), attempt), undo) {
                self.after(1, Happening::Effect { node: node.clone(), attempt, undo });
                self.after(2, Happening::JobEnds { node: node.clone(), attempt, undo });
            }
            self.after(3, Happening::Looks { node: node.clone(), attempt, undo, life });
        }
        self.disturb_work(node, attempt, disturbs, Moment::Running, in_engine)
    }

    pub(super) fn effect(&mut self, node: &NodeId, attempt: u32, undo: bool) -> Result<(), String> {
        let disturbs = self.disturbs(node, undo);
        if let Some(Injection::Error { effect: false, .. }) = disturbs {
            return Ok(());
        }
        if !self.hosts.effect(&(node.clone(), attempt)) {
            return Ok(());
        }
        self.disturb_work(node.clone(), attempt, disturbs, Moment::Done, false)
    }

    /// The effect of what lives in the engine: an upload's file.
    pub(super) fn works(&mut self, node: NodeId, attempt: u32) -> Result<(), String> {
        let disturbs = self.disturbs(&node, false);
        let without_effect = self.step(&node).is_some_and(|step| match &step.action {
            Action::Wait { .. } | Action::Assert { .. } | Action::Facts => true,
            Action::Http(request) => request.method.only_reads(),
            _ => step.reads,
        });
        if without_effect || matches!(disturbs, Some(Injection::Error { effect: false, .. })) {
            return Ok(());
        }
        self.hosts.set(&node, true);
        self.disturb_work(node, attempt, disturbs, Moment::Done, true)
    }

    /// What is done to an attempt that is at work: the engine dies, or the host restarts.
    fn disturb_work(
        &mut self,
        node: NodeId,
        attempt: u32,
        disturbs: Option<Injection>,
        now: Moment,
        in_engine: bool,
    ) -> Result<(), String> {
        match disturbs {
            Some(Injection::Crash(moment)) if moment == now => {
                self.die();
                Ok(())
            }
            Some(Injection::Reboot { effect }) if effect == (now == Moment::Done) => {
                self.injection = None;
                if in_engine {
                    // Its connection breaks.
                    return self.learn(node, attempt, failed(FailureClass::Connection));
                }
                self.hosts.end(&(node, attempt), Record::Rebooted);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn looks(&mut self, node: NodeId, attempt: u32, undo: bool) -> Result<(), String> {
        let life = self.life;
        let outcome = match self.hosts.find(&(node.clone(), attempt)) {
            Record::Running => {
                self.after(1, Happening::Looks { node, attempt, undo, life });
                return Ok(());
            }
            Record::Succeeded if self.disturbs(&node, undo) == Some(Injection::Lost) => {
                self.injection = None;
                NodeOutcome::Unknown(Unknown::Unreachable)
            }
            Record::Succeeded => self.succeeded(&node),
            Record::Failed(class) => failed(class),
            Record::Void => NodeOutcome::Unknown(Unknown::NeverBegan),
            Record::Rebooted => NodeOutcome::Unknown(Unknown::Rebooted),
        };
        self.learn(node, attempt, outcome)
    }

    /// A success, with what its step puts out.
    pub(super) fn succeeded(&self, node: &NodeId) -> NodeOutcome {
        let outs = self.step(node).map(|step| step.out.iter()).into_iter().flatten();
        let out = outs.filter_map(|(name, out)| {
            if out.is_secret() {
                return Some((name.clone(), Value::Secret(crate::vault::out_name(node, 1, name))));
            }
            let given = self.setting.outs.get(&(node.step.clone(), name.clone())).cloned();
            let facts = self.step(node).is_some_and(|step| step.action == Action::Facts);
            let model = || if facts { Some(dsl::host_facts::model()) } else { dsl::model_value(&out.ty(), 0) };
            Some((name.clone(), given.or_else(model)?))
        });
        NodeOutcome::Succeeded { out: out.collect(), changed: true, output: None }
    }
}

/// A failure of this class.
pub(super) fn failed(class: FailureClass) -> NodeOutcome {
    let message = match class {
        FailureClass::Connection => "the model host cannot be reached".to_owned(),
        FailureClass::Timeout => "it took too long".to_owned(),
        FailureClass::Exit(code) => format!("exit code {code}"),
        FailureClass::Status(status) => format!("the answer is {status}"),
        FailureClass::ProbeUnknown => "the probe gave no answer".to_owned(),
        FailureClass::Other => "it was ended".to_owned(),
    };
    NodeOutcome::Failed { failure: Failure { class, message, hint: None }, output: None }
}
