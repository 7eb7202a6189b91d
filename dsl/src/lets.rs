//! Named values: `let: { "name": "expression" }`, read as `let.name`.
//!
//! `let.name` means its expression, as if it stood in that place in brackets: it sees what the place sees – its host, its
//! `each`, what is known to be there – and whoever reads it waits for the steps that it reads. A plan knows no names: they
//! are written out when it is made, and how much that gives is limited.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::code::Code;
use crate::declared::{Declared, Named};
use crate::diagnostic::{Diagnostic, Sink};
use crate::expression::Syntax;
use crate::graph::{CYCLE_SHOWN, Edge, Graph, cycles, order};
use crate::limits;
use crate::source::{Spanned, quote};
use crate::typing::{Place, Typing, Used};

/// A named value.
#[derive(Debug, Clone)]
pub(crate) struct LetDecl {
    pub(crate) name: Spanned<String>,
    /// Its expression; `None` where it could not be read, or has no end.
    pub(crate) syntax: Option<Syntax>,
    /// How large it is when the named values in it are written out.
    pub(crate) size: Size,
    /// The ids of the steps that it reads, also by other named values.
    pub(crate) steps: BTreeSet<String>,
}

/// How large an expression is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Operators, calls, names and literals in it.
    pub(crate) parts: usize,
    /// How many of them are inside each other.
    pub(crate) depth: usize,
}

impl LetDecl {
    pub(crate) fn new(name: Spanned<String>, syntax: Option<Syntax>) -> LetDecl {
        LetDecl { name, syntax, size: Size::default(), steps: BTreeSet::new() }
    }
}

/// The named value that an expression is, or has a field of.
pub(crate) fn named(syntax: &Syntax) -> Option<Spanned<&str>> {
    match syntax.path()?.as_slice() {
        [root, name, ..] if root.value == "let" => Some(Spanned::new(name.value, root.span.start..name.span.end)),
        _ => None,
    }
}

/// Finds circles, and how large each is when it is written out.
pub(crate) fn settle(declared: &mut Declared, sink: &mut Sink) {
    let lets = &mut declared.lets;
    let edges: Vec<BTreeMap<usize, Edge>> = lets.iter().map(|decl| reads(decl, lets)).collect();
    let order = order(&edges);
    if order.len() < edges.len() {
        for cycle in cycles(&edges) {
            report_cycle(lets, &edges, &cycle, sink);
        }
    }
    // What is in a circle, or reads one, has no value.
    for index in (0..edges.len()).filter(|index| !order.contains(index)) {
        lets.at_mut(index).syntax = None;
    }
    for index in order {
        if edges[index].keys().any(|other| lets.at(*other).syntax.is_none()) {
            lets.at_mut(index).syntax = None;
        }
        let Some(syntax) = &lets.at(index).syntax else { continue };
        let size = measure(syntax, lets);
        let mut steps = BTreeSet::new();
        syntax.walk(&mut |syntax| {
            if let Some([root, step, ..]) = syntax.path().as_deref()
                && root.value == "steps"
            {
                steps.insert(step.value.to_owned());
            }
        });
        for other in edges[index].keys() {
            steps.extend(lets.at(*other).steps.iter().cloned());
        }
        let decl = lets.at_mut(index);
        (decl.size, decl.steps) = (size, steps);
        if size.parts > limits::LET_PARTS || size.depth > limits::EXPRESSION_DEPTH {
            let message = match size.parts > limits::LET_PARTS {
                true => format!("{} has more than {} parts when it is written out", called(decl), limits::LET_PARTS),
                false => format!("{} is nested too deeply when it is written out", called(decl)),
            };
            let code = if size.parts > limits::LET_PARTS { Code::OutOfLimits } else { Code::TooDeep };
            sink.push(Diagnostic::error(code, message).at(&decl.name.span, "by the named values that it reads"));
            decl.syntax = None;
        }
    }
}

fn called(decl: &LetDecl) -> String {
    format!("`let.{}`", crate::source::plain(&decl.name.value))
}

/// Which named values one reads, and where.
fn reads(decl: &LetDecl, lets: &Named<LetDecl>) -> BTreeMap<usize, Edge> {
    let mut edges = BTreeMap::new();
    let Some(syntax) = &decl.syntax else { return edges };
    syntax.walk(&mut |syntax| {
        if let Some(name) = named(syntax)
            && let Some(index) = lets.index(name.value)
        {
            edges.entry(index).or_insert(Edge::reference(name.span));
        }
    });
    edges
}

fn report_cycle(lets: &Named<LetDecl>, edges: &[BTreeMap<usize, Edge>], cycle: &[usize], sink: &mut Sink) {
    let name = |index: &usize| lets.at(*index).name.value.as_str();
    let mut shown: Vec<&str> = cycle.iter().take(CYCLE_SHOWN).map(name).collect();
    if cycle.len() > CYCLE_SHOWN {
        shown.extend(["…", name(&cycle[0])]);
    }
    let message = match cycle {
        [only, _] => format!("{} reads itself", called(lets.at(*only))),
        _ => format!("named values read each other in a circle: {}", quote(&shown.join(" → "))),
    };
    let mut diagnostic = Diagnostic::error(Code::LetCycle, message);
    for pair in cycle.windows(2).take(CYCLE_SHOWN) {
        if let Some(edge) = edges[pair[0]].get(&pair[1]) {
            diagnostic = diagnostic.at(&edge.span, format!("`{}` reads `{}`", name(&pair[0]), name(&pair[1])));
        }
    }
    sink.push(diagnostic.help("write one of them without the others"));
}

/// The size of an expression with the named values in it written out; theirs are known.
fn measure(syntax: &Syntax, lets: &Named<LetDecl>) -> Size {
    if let (Some(name), Some(path)) = (named(syntax), syntax.path()) {
        let inner = lets.get(name.value).map(|decl| decl.size).unwrap_or_default();
        let fields = path.len() - 2;
        return Size { parts: inner.parts.saturating_add(fields), depth: inner.depth + fields };
    }
    let mut size = Size { parts: 1, depth: 1 };
    syntax.kind.children(&mut |syntax| {
        let inner = measure(syntax, lets);
        size.parts = size.parts.saturating_add(inner.parts);
        size.depth = size.depth.max(inner.depth + 1);
    });
    size
}

impl Typing<'_> {
    /// Whether there is room to write a named value out at `place`, with so many fields behind it; if not, that is said.
    pub(crate) fn has_room_for(&mut self, decl: &LetDecl, fields: usize, place: &Range<usize>) -> bool {
        // What is inside of another one was counted with it.
        if self.sink.is_within() {
            return true;
        }
        let before = self.used.parts;
        self.used.parts = before.saturating_add(decl.size.parts);
        let wrong = if self.used.depth - 1 + fields + decl.size.depth > limits::EXPRESSION_DEPTH {
            Some((Code::TooDeep, format!("the expression is nested too deeply when {} is written out", called(decl))))
        } else if self.used.parts > limits::LET_PARTS_ALL {
            let message = format!(
                "the named values of the workflow have more than {} parts when they are written out",
                limits::LET_PARTS_ALL
            );
            // Once is enough.
            (before <= limits::LET_PARTS_ALL).then_some((Code::OutOfLimits, message))
        } else {
            return true;
        };
        if let Some((code, message)) = wrong {
            self.sink.push(Diagnostic::error(code, message).at(place, "here"));
        }
        false
    }
}

/// Checks the named values that nobody reads, but for what depends on where they are read.
pub(crate) fn check_unread(declared: &Declared, graph: &Graph, used: &mut Used, sink: &mut Sink) {
    let unread: Vec<&LetDecl> = declared.lets.iter().filter(|decl| !used.lets.contains(&decl.name.value)).collect();
    for decl in unread {
        let Some(syntax) = &decl.syntax else { continue };
        let mut aside = Sink::default();
        Typing::new(declared, &graph.position, Place::Output, used, &mut aside).expr(syntax);
        aside
            .into_sorted()
            .into_iter()
            .filter(|wrong| !wrong.code.depends_on_place())
            .for_each(|wrong| sink.push(wrong));
    }
}
