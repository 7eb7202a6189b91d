//! A workflow as it is declared: read and spanned, its names not yet resolved.
//!
//! What could not be read is `None` or missing and has been reported, so later passes stay silent about it.

mod call;
mod files;
mod here;
mod hosts;
mod records;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

pub(crate) use call::{CallDecl, WithDecl};
pub(crate) use files::{ContentDecl, DatumDecl, FileDecl, PatchDecl, PatchKind};
pub(crate) use here::{AssertDecl, BodyDecl, HeaderDecl, MailDecl, NoticeDecl, RecipientDecl, RequestDecl, TlsDecl};
pub(crate) use hosts::{CopyDecl, DownloadDecl};
pub(crate) use records::{FromDecl, OfDecl, RecordDecl, SourceDecl};

use crate::expression::{Syntax, TemplateSyntax};
use crate::kind::Kind;
use crate::lets::LetDecl;
use crate::plan::{Interrupted, OnFailure, OnState, Otherwise, RetryOn};
use crate::source::Spanned;
use crate::types::Type;
use crate::value::Value;

/// A workflow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) about: Option<String>,
    pub(crate) inputs: Named<InputDecl>,
    pub(crate) roles: Named<RoleDecl>,
    pub(crate) lets: Named<LetDecl>,
    /// The steps of the body, those of groups and the gates of groups among them, then those of `finally`.
    pub(crate) steps: Vec<StepDecl>,
    pub(crate) groups: Vec<GroupDecl>,
    pub(crate) outputs: Vec<(Spanned<String>, Option<TemplateSyntax>)>,
    pub(crate) locks: Vec<TemplateSyntax>,
    pub(crate) instances: Vec<TemplateSyntax>,
    /// It has an `instance` or `instances`, even one that could not be read.
    pub(crate) has_instances: bool,
    pub(crate) deadline: Option<Scalar<u64>>,
    /// Index of the step that asks for the facts of a role, by the role.
    pub(crate) facts: BTreeMap<String, usize>,
    /// Index of each step by its id.
    pub(crate) step_ids: HashMap<String, usize>,
    /// Index of each group by its id; a step with a `batch` of its own is found as a step.
    pub(crate) group_ids: HashMap<String, usize>,
    /// A step could not even be read so far that its id is known, so a name that is not known may be its.
    pub(crate) has_unread_steps: bool,
}

impl Declared {
    /// Whether a role may have more than one host; one that could not be read may not.
    pub(crate) fn may_have_several(&self, role: Option<&str>) -> bool {
        matches!(role.and_then(|role| self.role_kind(role)), Some(RoleKind::Many { max, .. }) if max > 1)
    }

    /// Whether a role has a `where`.
    pub(crate) fn is_filtered(&self, role: Option<&str>) -> bool {
        role.and_then(|role| self.roles.get(role)).is_some_and(|role| role.has_filter)
    }

    /// Whether the nodes of two steps are matched one to one: the same role, and the same `each` as it is written.
    pub(crate) fn is_keyed(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.steps[a], &self.steps[b]);
        (a.role().is_some() || a.has_each)
            && a.role() == b.role()
            && a.has_each == b.has_each
            && a.each_text() == b.each_text()
    }

    /// The steps that a name in `needs` means: one, or all of a group.
    pub(crate) fn needed(&self, name: &str) -> Option<&[usize]> {
        match self.step_ids.get(name) {
            Some(step) => Some(std::slice::from_ref(step)),
            None => self.group_ids.get(name).map(|group| self.groups[*group].steps.as_slice()),
        }
    }

    /// Whether a step takes a failure of another one for enough, by `Settled`.
    pub(crate) fn accepts_failure(&self, reader: usize, other: usize) -> bool {
        let means = |need: &NeedDecl| self.needed(&need.id.value).is_some_and(|steps| steps.contains(&other));
        self.steps[reader].needs.iter().any(|need| need.how == Need::Settled && means(need))
    }
}

/// Steps that hosts pass through together, or one with a `batch` of its own.
#[derive(Debug, Clone)]
pub(crate) struct GroupDecl {
    pub(crate) id: Spanned<String>,
    pub(crate) over: Option<Spanned<String>>,
    /// Its steps, by their index.
    pub(crate) steps: Vec<usize>,
    pub(crate) batch: BatchDecl,
    /// Index of the gate after the first batch.
    pub(crate) gate: Option<usize>,
}

/// `batch: (…)`
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchDecl {
    pub(crate) sizes: Vec<u32>,
    pub(crate) pause_ms: u64,
    pub(crate) stop_after: Option<u32>,
    pub(crate) gate_after_first: bool,
    /// What the hosts that are inside at once have in common.
    pub(crate) by: Option<PerHost>,
}

/// An expression that is evaluated for each host of a role by itself.
#[derive(Debug, Clone)]
pub(crate) struct PerHost {
    pub(crate) syntax: Syntax,
    /// The text as it is written.
    pub(crate) text: String,
}

/// `each: "…"`
#[derive(Debug, Clone)]
pub(crate) struct EachDecl {
    pub(crate) syntax: Syntax,
    /// The text as it is written.
    pub(crate) text: String,
}

/// Things with names, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Named<T> {
    list: Vec<T>,
    by_name: HashMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named { list: Vec::new(), by_name: HashMap::new() }
    }
}

impl<T> Named<T> {
    pub(crate) fn insert(&mut self, name: &str, item: T) {
        self.by_name.insert(name.to_owned(), self.list.len());
        self.list.push(item);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.index(name).map(|index| self.at(index))
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn at(&self, index: usize) -> &T {
        &self.list[index]
    }

    pub(crate) fn at_mut(&mut self, index: usize) -> &mut T {
        &mut self.list[index]
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.list.iter()
    }
}

/// An input, or a field of a record.
#[derive(Debug, Clone)]
pub(crate) struct InputDecl {
    pub(crate) name: Spanned<String>,
    /// The type; `None` where it could not be read.
    pub(crate) kind: Option<Kind>,
    pub(crate) default: Option<Value>,
    pub(crate) optional: bool,
    pub(crate) about: Option<String>,
    pub(crate) secret: bool,
    /// How many random characters it is where it is not given.
    pub(crate) generate: Option<u32>,
}

/// A role.
#[derive(Debug, Clone)]
pub(crate) struct RoleDecl {
    pub(crate) name: Spanned<String>,
    /// How many hosts; `None` where it could not be read.
    pub(crate) kind: Option<RoleKind>,
    /// A host for which it is false is passed over.
    pub(crate) filter: Option<PerHost>,
    /// It has a `where`, even one that could not be read.
    pub(crate) has_filter: bool,
    /// The records that fill it, where nobody gives its hosts.
    pub(crate) from: Option<SourceDecl>,
}

/// How many hosts fill a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleKind {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// Several.
    Many {
        /// At least so many.
        min: usize,
        /// At most so many.
        max: usize,
    },
}

/// A value that a step puts out.
#[derive(Debug, Clone)]
pub(crate) struct OutDecl {
    pub(crate) from: OutFrom,
    pub(crate) ty: Type,
    /// `type: Secret`
    pub(crate) secret: bool,
}

/// What it is taken from.
#[derive(Debug, Clone)]
pub(crate) enum OutFrom {
    Stdout,
    Regex(String),
    Json(String),
    File(TemplateSyntax),
    ExitIs { true_on: Vec<i32>, false_on: Vec<i32> },
    Status,
    Header(String),
}

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct StepDecl {
    /// Its id; `None` where it has none or a wrong one.
    pub(crate) id: Option<Spanned<String>>,
    pub(crate) about: Option<String>,
    /// The role, or several together; in a group, that of the group.
    pub(crate) on: Option<Spanned<String>>,
    /// The role at whose host it runs, where that is not its own.
    pub(crate) run_at: Option<Spanned<String>>,
    /// Its own condition, and-ed to that of its group.
    pub(crate) when: Option<Syntax>,
    pub(crate) each: Option<EachDecl>,
    /// It has an `each`, even one that could not be read.
    pub(crate) has_each: bool,
    pub(crate) parallel: Option<Spanned<u32>>,
    pub(crate) locks: Vec<TemplateSyntax>,
    /// Index of its group.
    pub(crate) group: Option<usize>,
    /// It stands in `finally`.
    pub(crate) finally: Option<OnState>,
    pub(crate) needs: Vec<NeedDecl>,
    pub(crate) probe: Option<ActionDecl>,
    pub(crate) action: Option<ActionDecl>,
    pub(crate) undo: Option<ActionDecl>,
    pub(crate) interrupted: Option<Spanned<Interrupted>>,
    pub(crate) retry: Option<RetryDecl>,
    pub(crate) timeout: Option<Scalar<u64>>,
    pub(crate) on_failure: OnFailure,
    pub(crate) out: Vec<(Spanned<String>, Option<OutDecl>)>,
    pub(crate) env: Vec<(Spanned<String>, TemplateSyntax)>,
    pub(crate) stdin: Option<TemplateSyntax>,
    pub(crate) as_user: Option<TemplateSyntax>,
    pub(crate) cwd: Option<TemplateSyntax>,
    pub(crate) allow_secret_args: Option<Spanned<String>>,
    pub(crate) ok_exit: Vec<i32>,
    pub(crate) idle_timeout: Option<Scalar<u64>>,
    /// Its probe is not asked before `do`.
    pub(crate) always: bool,
    /// Its program only reads.
    pub(crate) reads: bool,
    /// It has a `when` or a `probe` that is asked first, even one that could not be read, so it may be skipped.
    pub(crate) may_be_skipped: bool,
    /// Its group has a `when`: it may be skipped, and every other step of the group with it.
    pub(crate) group_may_be_skipped: bool,
    /// Something in it could not be read, so it may have more than is known of it.
    pub(crate) broken: bool,
    /// It is no step but a call.
    pub(crate) call: Option<Box<CallDecl>>,
    /// It has a `probe`, even one that could not be read.
    pub(crate) has_probe: bool,
    /// It has an `undo`, even one that could not be read.
    pub(crate) has_undo: bool,
}

impl StepDecl {
    /// A step of which nothing is said but its id.
    pub(crate) fn new(id: Option<Spanned<String>>) -> StepDecl {
        StepDecl {
            id,
            about: None,
            on: None,
            run_at: None,
            when: None,
            each: None,
            has_each: false,
            parallel: None,
            locks: Vec::new(),
            group: None,
            finally: None,
            needs: Vec::new(),
            probe: None,
            action: None,
            undo: None,
            interrupted: None,
            retry: None,
            timeout: None,
            on_failure: OnFailure::Stop,
            out: Vec::new(),
            env: Vec::new(),
            stdin: None,
            as_user: None,
            cwd: None,
            allow_secret_args: None,
            ok_exit: Vec::new(),
            idle_timeout: None,
            always: false,
            reads: false,
            may_be_skipped: false,
            group_may_be_skipped: false,
            broken: false,
            call: None,
            has_probe: false,
            has_undo: false,
        }
    }

    /// The id, as messages show it.
    pub(crate) fn title(&self) -> String {
        match &self.id {
            Some(id) if self.call.is_some() => format!("call {}", crate::source::quote(&id.value)),
            Some(id) => format!("step {}", crate::source::quote(&id.value)),
            None if self.call.is_some() => "a call".to_owned(),
            None => "a step".to_owned(),
        }
    }

    /// The name of its role.
    pub(crate) fn role(&self) -> Option<&str> {
        self.on.as_ref().map(|role| role.value.as_str())
    }

    fn each_text(&self) -> Option<&str> {
        self.each.as_ref().map(|each| each.text.as_str())
    }

    /// It asks for the facts of its role.
    pub(crate) fn is_facts(&self) -> bool {
        self.action.as_ref().is_some_and(|action| matches!(action.kind, ActionKind::Facts))
    }

    /// Of what it changes the record.
    pub(crate) fn records(&self) -> Option<&OfDecl> {
        match &self.action.as_ref()?.kind {
            ActionKind::Record(record) => Some(&record.of),
            ActionKind::Forget(of) => Some(of),
            _ => None,
        }
    }

    /// It waits for a person, and so runs on no host.
    pub(crate) fn is_gate(&self) -> bool {
        self.action.as_ref().is_some_and(|action| matches!(action.kind, ActionKind::Gate(_)))
    }
}

/// What a step waits for.
#[derive(Debug, Clone)]
pub(crate) struct NeedDecl {
    /// The id of a step or a group.
    pub(crate) id: Spanned<String>,
    pub(crate) how: Need,
}

/// How a step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// For its success, host by host where both run on the same role.
    Success,
    /// `All("x")`: for its success on all hosts.
    All,
    /// `Settled("x")`: for its end, whatever that is.
    Settled,
}

/// A value that stands in the file, or follows from inputs when the plan is made.
#[derive(Debug, Clone)]
pub(crate) enum Scalar<T> {
    Literal(Spanned<T>),
    Expr(Syntax),
}

impl<T> Scalar<T> {
    /// Where it stands.
    pub(crate) fn span(&self) -> Range<usize> {
        match self {
            Scalar::Literal(literal) => literal.span.clone(),
            Scalar::Expr(syntax) => syntax.span.clone(),
        }
    }
}

/// `retry: (…)`
#[derive(Debug, Clone)]
pub(crate) struct RetryDecl {
    pub(crate) times: Option<Scalar<u32>>,
    pub(crate) wait: Option<Scalar<u64>>,
    pub(crate) factor: Option<Scalar<f64>>,
    pub(crate) cap: Option<Scalar<u64>>,
    pub(crate) on: Option<Vec<RetryOn>>,
    pub(crate) jitter: Option<f64>,
}

/// An action.
#[derive(Debug, Clone)]
pub(crate) struct ActionDecl {
    pub(crate) kind: ActionKind,
}

/// What an action does. A part that could not be read is `None` or left out. Nobody writes `Facts`: it comes by reading some.
#[derive(Debug, Clone)]
pub(crate) enum ActionKind {
    Run { argv: Vec<TemplateSyntax> },
    Shell { text: String },
    Script { file: Option<Spanned<String>>, args: Vec<TemplateSyntax> },
    Upload { from: Option<TemplateSyntax>, to: Option<TemplateSyntax>, mode: Option<Scalar<u32>> },
    Wait { until: Option<UntilDecl>, within: Option<Scalar<u64>>, every: Option<Scalar<u64>> },
    Gate(GateDecl),
    WriteFiles { files: Vec<FileDecl> },
    PatchFile(PatchDecl),
    Download(DownloadDecl),
    Copy(CopyDecl),
    Reboot { within: Option<Scalar<u64>> },
    Restore,
    Assert(AssertDecl),
    Local { argv: Vec<TemplateSyntax> },
    Http(Box<RequestDecl>),
    Notify(Box<NoticeDecl>),
    Record(Box<RecordDecl>),
    Forget(OfDecl),
    Facts,
}

impl ActionDecl {
    /// Whether it is a program: something with arguments, environment and output.
    pub(crate) fn is_command(&self) -> bool {
        matches!(
            self.kind,
            ActionKind::Run { .. } | ActionKind::Shell { .. } | ActionKind::Script { .. } | ActionKind::Local { .. }
        )
    }

    /// Whether it waits for a program on the host, which gets what programs get.
    pub(crate) fn asks_by_command(&self) -> bool {
        matches!(self.kind, ActionKind::Wait { until: Some(UntilDecl::Command { .. }), .. })
    }
}

/// `Gate(…)`
#[derive(Debug, Clone)]
pub(crate) struct GateDecl {
    pub(crate) text: Option<TemplateSyntax>,
    pub(crate) approvers: Vec<String>,
    pub(crate) not_requester: bool,
    pub(crate) within: Option<Scalar<u64>>,
    pub(crate) otherwise: Otherwise,
}

/// What a `Wait` waits for.
#[derive(Debug, Clone)]
pub(crate) enum UntilDecl {
    Ssh,
    Tcp { port: Option<Scalar<u16>> },
    Http { url: Option<TemplateSyntax>, status: Vec<u16>, ca: Option<TemplateSyntax> },
    Tls(TlsDecl),
    Command { argv: Vec<TemplateSyntax> },
}
