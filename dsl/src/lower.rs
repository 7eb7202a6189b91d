//! From declared steps to the steps of a plan.
//!
//! Everything of a step is checked and settled here but for values that follow from inputs ([`crate::fixed`]), which are
//! put in when a plan is made.

mod call;
mod each;
mod files;
mod here;
mod hosts;
mod per_host;
mod records;
mod roles;
mod whole;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::assets::normal_path;
use crate::code::Code;
use crate::declared::{ActionDecl, ActionKind, Declared, Need, OutDecl, OutFrom, Scalar, StepDecl, UntilDecl};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expr::Template;
use crate::expression::{Syntax, TemplateSyntax};
use crate::fixed::{self, Field, Fixed};
use crate::graph::Graph;
use crate::host_facts::filter_of;
use crate::limits;
use crate::plan::{Action, Edge, EdgeKind, Interrupted, JITTER, Out, Probe, Retry, Step, Until, UploadFrom};
use crate::source::Spanned;
use crate::typing::{Class, Place, Typing, Used, facts};

/// How long a command or an upload may take where nothing is said.
const TIMEOUT_MS: u64 = 3_600_000;
/// How long a `Wait` waits between two looks where nothing is said.
const EVERY_MS: u64 = 1_000;
/// The wait before the second attempt, its growth and its limit, where nothing is said.
const RETRY_WAIT_MS: u64 = 5_000;
const RETRY_FACTOR: f64 = 2.0;
const RETRY_CAP_MS: u64 = 300_000;

/// A step of the plan, but for what follows from inputs.
#[derive(Debug, Clone)]
pub(crate) struct Lowered {
    pub(crate) step: Step,
    /// Where its id stands.
    pub(crate) at: Range<usize>,
    /// What is still to be put in.
    pub(crate) fixed: Vec<Fixed>,
    /// Where its `timeout` stands, if it has one.
    pub(crate) timeout: Option<Range<usize>>,
    /// Where its `idle_timeout` stands, if it has one.
    pub(crate) idle_timeout: Option<Range<usize>>,
    /// Where the `cap` of its retry stands, if it has one.
    pub(crate) cap: Option<Range<usize>>,
    /// It is no step yet but a call.
    pub(crate) call: Option<Box<Called>>,
}

impl Lowered {
    pub(crate) fn new(step: Step, at: Range<usize>) -> Lowered {
        Lowered { step, at, fixed: Vec::new(), timeout: None, idle_timeout: None, cap: None, call: None }
    }

    /// It came from another workflow: messages point to where that is called.
    pub(crate) fn move_to(&mut self, at: &Range<usize>) {
        let places = [&mut self.timeout, &mut self.idle_timeout, &mut self.cap].into_iter().flatten();
        places.chain([&mut self.at]).for_each(|place| *place = at.clone());
    }
}

/// Checks all steps; gives those that are whole, in the order of the plan.
pub(crate) fn steps(
    declared: &Declared,
    graph: &Graph,
    filters: &Filters,
    used: &mut Used,
    sink: &mut Sink,
) -> Vec<Lowered> {
    let mut lowered = Vec::new();
    for index in 0..declared.steps.len() {
        // A field that says what its others mean may be the one that could not be read.
        let doubt = declared.steps[index].broken.then(|| sink.doubt(true));
        let typing = Typing::new(declared, &graph.position, Place::Step { index, undo: false }, used, sink);
        let allow_secret_args = declared.steps[index].allow_secret_args.clone();
        let mut lower = Lower { typing, filters, fixed: Vec::new(), allow_secret_args, secret_args: Vec::new() };
        lowered.push(lower.step(&declared.steps[index], index, graph));
        if let Some(doubt) = doubt {
            sink.doubt(doubt);
        }
    }
    graph.order.iter().filter_map(|index| lowered[*index].take()).collect()
}

pub use call::steps_read;
pub(crate) use call::{Called, Passed, text_of};
pub(crate) use per_host::{Filters, filters};
pub(crate) use whole::{Deadline, Whole, whole};

struct Lower<'a> {
    typing: Typing<'a>,
    filters: &'a Filters,
    fixed: Vec<Fixed>,
    /// Why secrets may stand in arguments of the step, and where they do.
    allow_secret_args: Option<Spanned<String>>,
    secret_args: Vec<Range<usize>>,
}

impl Lower<'_> {
    fn step(&mut self, step: &StepDecl, index: usize, graph: &Graph) -> Option<Lowered> {
        if let Some(call) = &step.call {
            return self.call(step, call, index, graph);
        }
        self.roles(step, index);
        let each = self.each(step, index);
        let parallel = self.parallel(step);
        let filtered = filter_of(step, self.typing.declared).is_some();
        let filter = step.role().filter(|_| filtered).and_then(|role| self.filters.get(role));
        self.typing.facts.extend(filter.into_iter().flat_map(|filter| filter.facts().to_vec()));
        let when = step.when.as_ref().map(|when| {
            let condition = self.typing.condition(when);
            self.typing.facts.extend(facts(when, true, self.typing.declared));
            condition
        });
        self.companions(step);
        let probe = step.probe.as_ref().map(|probe| self.action(probe));
        let action = step.action.as_ref().map(|action| self.action(action));
        self.typing.place = Place::Step { index, undo: true };
        let undo = step.undo.as_ref().map(|undo| self.action(undo));
        self.typing.place = Place::Step { index, undo: false };
        self.check_secret_args(step);
        let env: BTreeMap<String, Template> =
            step.env.iter().map(|(name, value)| (name.value.clone(), self.typing.template(value, None))).collect();
        let stdin = step.stdin.as_ref().map(|stdin| self.typing.template(stdin, None));
        let as_user = step.as_user.as_ref().map(|user| self.typing.template(user, Some("be the name of a user")));
        let cwd = step.cwd.as_ref().map(|cwd| self.typing.template(cwd, Some("be the name of a folder")));
        let locks = step.locks.iter().map(|lock| self.typing.template(lock, Some("be the name of a lock"))).collect();
        let retry = self.retry(step);
        let timeout_ms = self.scalar(step.timeout.as_ref(), Field::Timeout).unwrap_or(here::timeout_ms(step));
        let idle = step.idle_timeout.as_ref();
        let idle_timeout_ms =
            idle.map(|idle| self.scalar(Some(idle), Field::IdleTimeout).unwrap_or(limits::TIMEOUT_MIN_MS));
        let idle_timeout = idle.map(Scalar::span);
        let timeout = step.timeout.as_ref().map(Scalar::span);
        let cap = step.retry.as_ref().and_then(|retry| retry.cap.as_ref()).map(Scalar::span);
        let outs = step.out.iter().filter_map(|(name, out)| Some((name.value.clone(), self.out(out.as_ref()?))));
        let out = outs.collect();
        let declared_at = step.id.as_ref().map(|id| id.span.clone());
        let step = Step {
            id: step.id.as_ref()?.value.clone(),
            about: step.about.clone(),
            role: if step.is_gate() || step.is_hostless() { None } else { Some(step.on.as_ref()?.value.clone()) },
            run_at: step.run_at.as_ref().map(|role| role.value.clone()),
            needs: self.edges(index, graph),
            when: match when {
                Some(when) => per_host::both(filter, Some(when?)),
                None => per_host::both(filter, None),
            },
            probe: match probe {
                Some(action) => Some(Probe { action: action?, always: step.always }),
                None => None,
            },
            reads: step.reads,
            interrupted: match &step.interrupted {
                Some(interrupted) => interrupted.value,
                None if step.reads => Interrupted::Rerun,
                None => action.as_ref()?.as_ref()?.default_interrupted(),
            },
            action: action??,
            undo: match undo {
                Some(undo) => Some(undo?),
                None => None,
            },
            retry,
            timeout_ms,
            on_failure: step.on_failure,
            out,
            env,
            stdin,
            as_user,
            cwd,
            ok_exit: step.ok_exit.clone(),
            idle_timeout_ms,
            each: match each {
                Some(each) => Some(each?),
                None => None,
            },
            parallel,
            locks,
            group: step.group,
            finally: step.finally,
            allow_secret_args: step.allow_secret_args.as_ref().map(|why| why.value.clone()),
        };
        let at = declared_at?;
        let fixed = std::mem::take(&mut self.fixed);
        let mut lowered = Lowered { fixed, timeout, idle_timeout, cap, ..Lowered::new(step, at) };
        if lowered.fixed.is_empty()
            && let Err(diagnostic) = fixed::settle(&mut lowered)
        {
            self.typing.sink.push(diagnostic);
        }
        Some(lowered)
    }

    /// `interrupted: Probe` needs a probe, `UndoThenRerun` an undo.
    fn companions(&mut self, step: &StepDecl) {
        let Some(interrupted) = &step.interrupted else { return };
        let (word, field, there) = match interrupted.value {
            Interrupted::Probe => ("Probe", "probe", step.has_probe),
            Interrupted::UndoThenRerun => ("UndoThenRerun", "undo", step.has_undo),
            Interrupted::Reattach | Interrupted::Rerun | Interrupted::Ask => return,
        };
        if !there {
            let message = format!("{} has `interrupted: {word}`, but no `{field}`", step.title());
            let diagnostic =
                Diagnostic::error(Code::NeedsCompanion, message).at(&interrupted.span, format!("needs `{field}`"));
            self.typing
                .sink
                .push(diagnostic.help(format!("add `{field}: …`, or choose `Rerun` where repeating does no harm")));
        }
    }

    fn edges(&self, index: usize, graph: &Graph) -> Vec<Edge> {
        let declared = self.typing.declared;
        let mut edges: Vec<Edge> = graph.edges[index]
            .iter()
            .map(|(other, edge)| Edge {
                step: graph.position[*other],
                kind: match declared.steps[*other].call {
                    // Host by host with those of its steps that run on the same role.
                    Some(_) if edge.how != Need::All => EdgeKind::Keyed,
                    _ => edge.kind(declared, index, *other),
                },
                origin: edge.origin,
                settled: edge.how == Need::Settled,
            })
            .collect();
        edges.sort_by_key(|edge| edge.step);
        edges
    }

    /// A scalar that stands in the file; one that follows from inputs is remembered.
    fn scalar<T: Copy>(&mut self, scalar: Option<&Scalar<T>>, field: Field) -> Option<T> {
        match scalar? {
            Scalar::Literal(literal) => Some(literal.value),
            Scalar::Expr(syntax) => {
                self.fixed(syntax, field);
                None
            }
        }
    }

    fn fixed(&mut self, syntax: &Syntax, field: Field) {
        let place = std::mem::replace(&mut self.typing.place, Place::Fixed);
        let (classes, needed): (&[Class], _) = match field {
            Field::Timeout
            | Field::IdleTimeout
            | Field::Within
            | Field::Every
            | Field::RetryWait
            | Field::RetryCap
            | Field::ValidFor => (&[Class::Duration], "Duration"),
            Field::RetryTimes => (&[Class::Whole], "Int"),
            Field::Port => (&[Class::Whole], "Port"),
            Field::RetryFactor => (&[Class::Whole, Class::Float], "Float"),
            Field::Mode | Field::FileMode(_) => (&[Class::Text], "Text"),
        };
        if let Some(typed) = self.typing.of_class(syntax, classes, needed, field.name()) {
            self.fixed.push(Fixed { field, expr: typed.expr, span: syntax.span.clone() });
        }
        self.typing.place = place;
    }

    fn retry(&mut self, step: &StepDecl) -> Retry {
        let Some(retry) = &step.retry else {
            return Retry {
                times: 1,
                wait_ms: RETRY_WAIT_MS,
                factor: RETRY_FACTOR,
                cap_ms: RETRY_CAP_MS,
                on: Vec::new(),
                jitter: JITTER,
            };
        };
        let times = self.scalar(retry.times.as_ref(), Field::RetryTimes);
        Retry {
            jitter: retry.jitter.unwrap_or(JITTER),
            times: times.unwrap_or(1),
            wait_ms: self.scalar(retry.wait.as_ref(), Field::RetryWait).unwrap_or(RETRY_WAIT_MS),
            factor: self.scalar(retry.factor.as_ref(), Field::RetryFactor).unwrap_or(RETRY_FACTOR),
            cap_ms: self.scalar(retry.cap.as_ref(), Field::RetryCap).unwrap_or(RETRY_CAP_MS),
            on: match &retry.on {
                Some(on) => on.clone(),
                None if times == Some(1) => Vec::new(),
                None => here::retry_on(step),
            },
        }
    }

    fn action(&mut self, action: &ActionDecl) -> Option<Action> {
        Some(match &action.kind {
            ActionKind::Run { argv } => Action::Run { argv: self.arguments(argv) },
            ActionKind::Shell { text } => Action::Shell { text: text.clone() },
            ActionKind::Script { file, args } => {
                let args = self.arguments(args);
                Action::Script { asset: normal_path(&file.as_ref()?.value).ok()?, args }
            }
            ActionKind::Upload { from, to, mode } => {
                let mode = match mode {
                    Some(mode) => self.scalar(Some(mode), Field::Mode),
                    None => None,
                };
                let from = from.as_ref().and_then(|from| self.upload_from(from));
                let to = self.typing.template(to.as_ref()?, Some("be a path on the host"));
                Action::Upload { from: from?, to, mode }
            }
            ActionKind::WriteFiles { files } => Action::WriteFiles { files: self.files(files)? },
            ActionKind::PatchFile(patch) => self.patch_file(patch)?,
            ActionKind::Download(download) => self.download(download)?,
            ActionKind::Copy(copy) => self.copy(copy)?,
            ActionKind::Reboot { within } => {
                Action::Reboot { within_ms: self.scalar(within.as_ref(), Field::Within).unwrap_or(TIMEOUT_MS) }
            }
            ActionKind::Restore => Action::Restore,
            ActionKind::Assert(assert) => self.assert(assert)?,
            ActionKind::Local { argv } => Action::Local { argv: self.arguments(argv) },
            ActionKind::Http(request) => Action::Http(self.request(request)?),
            ActionKind::Notify(notice) => Action::Notify(self.notice(notice)?),
            ActionKind::Record(record) => self.record(record)?,
            ActionKind::Forget(of) => Action::Forget(self.record_of(of)?),
            ActionKind::Facts => Action::Facts,
            ActionKind::Wait { until, within, every } => {
                let within_ms = self.scalar(within.as_ref(), Field::Within).unwrap_or(TIMEOUT_MS);
                let every_ms = self.scalar(every.as_ref(), Field::Every).unwrap_or(EVERY_MS);
                let until = until.as_ref().map(|until| self.until(until));
                Action::Wait { until: until??, within_ms, every_ms }
            }
            ActionKind::Gate(gate) => {
                let within = gate.within.as_ref();
                let within_ms = within.map(|within| self.scalar(Some(within), Field::Within).unwrap_or(TIMEOUT_MS));
                Action::Gate {
                    text: self.typing.template(gate.text.as_ref()?, Some("be asked of a person")),
                    approvers: gate.approvers.clone(),
                    not_requester: gate.not_requester,
                    within_ms,
                    otherwise: gate.otherwise,
                }
            }
        })
    }

    fn out(&mut self, out: &OutDecl) -> Out {
        let ty = out.ty.clone();
        let taken = match &out.from {
            OutFrom::Stdout => Out::Stdout { ty },
            OutFrom::Regex(pattern) => Out::Regex { pattern: pattern.clone(), ty },
            OutFrom::Json(path) => Out::Json { path: path.clone(), ty },
            OutFrom::File(path) => Out::File { path: self.typing.template(path, Some("be the path of a file")), ty },
            OutFrom::ExitIs { true_on, false_on } => {
                Out::ExitIs { true_on: true_on.clone(), false_on: false_on.clone() }
            }
            OutFrom::Status => Out::Status,
            OutFrom::Header(name) => Out::Header { name: name.clone(), ty },
        };
        if out.secret { Out::Secret(Box::new(taken)) } else { taken }
    }

    fn until(&mut self, until: &UntilDecl) -> Option<Until> {
        Some(match until {
            UntilDecl::Ssh => Until::Ssh,
            UntilDecl::Tcp { port } => {
                let port = self.scalar(port.as_ref(), Field::Port);
                Until::Tcp { port: Template::literal(port.unwrap_or(0).to_string()) }
            }
            UntilDecl::Http { url, status, ca } => {
                let url = url.as_ref().map(|url| self.argument(url, "be in a URL"));
                let ca = self.ca(ca.as_ref());
                Until::Http { url: url?, status: status.clone(), ca: ca? }
            }
            UntilDecl::Command { argv } => Until::Command { argv: self.arguments(argv) },
            UntilDecl::Tls(tls) => self.until_tls(tls)?,
        })
    }

    /// `"${{ inputs.image }}"` is a file of the operator's machine, any other text one of the workflow.
    fn upload_from(&mut self, from: &TemplateSyntax) -> Option<UploadFrom> {
        if let Some(path) = from.literal() {
            return normal_path(&path).ok().map(UploadFrom::Asset);
        }
        let Some(syntax) = from.only_expression() else {
            let message = "`from` is a mixture of text and expressions";
            let diagnostic = Diagnostic::error(Code::TypeMismatch, message)
                .at(&from.span, "either one file of the workflow, or one expression")
                .help("which files belong to a workflow must be known when it is checked");
            self.typing.sink.push(diagnostic.help("declare an input of type `File` and write `${{ inputs.name }}`"));
            from.expressions().for_each(|syntax| {
                self.typing.expr(syntax);
            });
            return None;
        };
        self.typing.of_class(syntax, &[Class::File], "File", "from").map(|typed| UploadFrom::File(typed.expr))
    }
}
