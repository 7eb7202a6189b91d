//! One fault: the host and the way to it, what is asked of it, what is done meanwhile, and what an operator should get.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::host::{Given, Host, PLAIN};
use super::line::Line;
use super::odd::Odd;
use super::play::{Play, Stage};
use crate::anneal::Ended;
use crate::journal::{Entry, Event, Unknown, entries_of};
use engine::operation::FailureClass;

/// A group of faults, which are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Getting a connection.
    Reaching,
    /// A connection that breaks.
    Breaking,
    /// More than a server allows.
    Sessions,
    /// What a login and a program do.
    Programs,
    /// What a program writes.
    Output,
    /// Disks and clocks.
    Machine,
    /// Long, slow and bad lines.
    Lines,
}

/// The parts by the names that the command line has for them.
pub const PARTS: [(&str, Part); 7] = [
    ("reaching", Part::Reaching),
    ("breaking", Part::Breaking),
    ("sessions", Part::Sessions),
    ("programs", Part::Programs),
    ("output", Part::Output),
    ("machine", Part::Machine),
    ("lines", Part::Lines),
];

/// What is there to be reached, and how.
#[derive(Debug, Clone, Copy)]
pub enum There {
    /// A host.
    Host(Given),
    /// A host at the end of a line.
    Over(Line, Given),
    /// A server that is none.
    Odd(Odd),
    /// Nobody.
    Nobody,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// How many steps that wait for nothing.
    pub steps: usize,
    /// The text of `work.sh`.
    pub script: &'static str,
    /// What a step does, as a workflow says it.
    pub action: &'static str,
    /// More of the step, as a workflow says it.
    pub more: &'static str,
}

/// Runs until the gate is open, then says one line.
pub const GATED: Work = Work {
    steps: 1,
    script: "echo began >>\"$COUNT\"; until [ -e \"$GATE\" ]; do sleep 0.1; done; echo result\n",
    action: "Script(file: \"work.sh\")",
    more: "timeout: \"3m\"",
};

/// Says one line at once.
pub const QUICK: Work = Work { script: "echo began >>\"$COUNT\"; echo result\n", ..GATED };

/// How it should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All steps succeed.
    Succeeds,
    /// The steps fail with this class.
    Fails(FailureClass),
    /// Nobody knows, and this is why.
    Unknown(Unknown),
}

/// What an operator should get.
#[derive(Debug, Clone, Copy)]
pub struct Expect {
    /// How it ends.
    pub end: End,
    /// What is said, in parts.
    pub says: &'static [&'static str],
    /// How often a program began.
    pub ran: usize,
    /// Whether its journal says that it was found again; of no interest where absent.
    pub found_again: Option<bool>,
    /// Within what time, from when [`Play::from_now`] was called, or from the beginning.
    pub within: Duration,
    /// What else must be so, and is told.
    pub also: fn(&Play<'_>, &Outcome) -> Result<String, String>,
}

/// One line that comes once.
pub const DONE: Expect = Expect {
    end: End::Succeeds,
    says: &[],
    ran: 1,
    found_again: None,
    within: Duration::from_secs(30),
    also: |_, outcome| outcome.wrote("result\n"),
};

/// It is not begun, for there is no connection.
pub const NO_CONNECTION: Expect =
    Expect { end: End::Fails(FailureClass::Connection), ran: 0, also: |_, _| Ok(String::new()), ..DONE };

/// A fault.
pub struct Case {
    /// Its row.
    pub fault: &'static str,
    /// Which part it belongs to.
    pub part: Part,
    /// Whether it takes a few seconds only.
    pub quick: bool,
    /// What is there.
    pub there: There,
    /// What comes before.
    pub before: fn(&Stage),
    /// What is asked.
    pub work: Work,
    /// What is done meanwhile.
    pub meanwhile: fn(&Play<'_>),
    /// What must come of it.
    pub expect: Expect,
}

/// A host as they are, one quick program, nothing wrong.
pub const CASE: Case = Case {
    fault: "nothing",
    part: Part::Reaching,
    quick: true,
    there: There::Host(PLAIN),
    before: |_| {},
    work: QUICK,
    meanwhile: |_| {},
    expect: DONE,
};

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub ended: Ended,
    /// Its journal.
    pub entries: Vec<Entry>,
    /// How long it took.
    pub took: Duration,
    /// How often a program began.
    pub ran: usize,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was wrong.
    pub fault: &'static str,
    /// What should come of it.
    pub expected: String,
    /// What came of it.
    pub seen: String,
    /// In what they differ.
    pub differences: Vec<String>,
}

impl Case {
    /// Lays the fault and judges what comes of it; `patience` times what it may take, on a machine that does much else.
    pub fn run(&self, patience: u32) -> Row {
        let (seen, differences) = match crate::campaign::crash::caught(|| Ok(self.play(patience))) {
            Ok(judged) => judged,
            Err(why) => ("it could not be seen".to_owned(), vec![why.to_string()]),
        };
        Row { fault: self.fault, expected: self.expect.shown(), seen, differences }
    }

    fn play(&self, patience: u32) -> (String, Vec<String>) {
        let stage = Stage::new(self.there, &self.work);
        (self.before)(&stage);
        let play = Play::begin(&stage);
        (self.meanwhile)(&play);
        let outcome = play.end();
        let (also, mut differences) = match (self.expect.also)(&play, &outcome) {
            Ok(also) => (also, Vec::new()),
            Err(why) => (String::new(), vec![why]),
        };
        differences.extend(self.expect.differences(&outcome, patience));
        (outcome.shown(&also), differences)
    }
}

fn times(ran: usize) -> String {
    match ran {
        0 => "not begun".to_owned(),
        1 => "run once".to_owned(),
        many => format!("{many} runs"),
    }
}

impl Expect {
    fn shown(&self) -> String {
        let end = match self.end {
            End::Succeeds => "succeeds".to_owned(),
            End::Fails(class) => format!("fails ({class:?})"),
            End::Unknown(why) => format!("unknown ({why:?})"),
        };
        let found = if self.found_again == Some(true) { ", found again" } else { "" };
        format!("{end} within {} s, {}{found}", self.within.as_secs(), times(self.ran))
    }

    fn differences(&self, outcome: &Outcome, patience: u32) -> Vec<String> {
        let mut differences = Vec::new();
        let ends = outcome.ends();
        if ends != BTreeSet::from([format!("{:?}", self.end)]) {
            differences.push(format!("it should end with {:?}, and the steps ended with {ends:?}", self.end));
        }
        let said = outcome.said();
        for word in self.says.iter().filter(|word| !said.contains(**word)) {
            differences.push(format!("`{word}` is not said in: {said}"));
        }
        if outcome.ran != self.ran {
            differences.push(format!("programs began {} times, not {}", outcome.ran, self.ran));
        }
        if self.found_again.is_some_and(|found| found != outcome.found_again()) {
            differences.push(format!("found again: {}", outcome.found_again()));
        }
        if outcome.took > self.within * patience {
            differences.push(format!("it took {:.1} s", outcome.took.as_secs_f64()));
        }
        if outcome.ended.stderr.contains("panicked") {
            differences.push(format!("a panic: {}", outcome.ended.stderr));
        }
        differences
    }
}

impl Outcome {
    /// Of a command that ended.
    pub fn new(ended: Ended, took: Duration, ran: usize) -> Outcome {
        let entries = entries_of(&ended.stdout);
        Outcome { ended, entries, took, ran }
    }

    /// How the steps ended, in the words of [`End`].
    fn ends(&self) -> BTreeSet<String> {
        let end = |entry: &Entry| match &entry.event {
            Event::Succeeded { .. } => Some(End::Succeeds),
            Event::Failed { failure, .. } => Some(End::Fails(failure.class)),
            Event::Indeterminate { why, .. } => Some(End::Unknown(*why)),
            _ => None,
        };
        self.entries.iter().filter_map(end).map(|end| format!("{end:?}")).collect()
    }

    /// Whether a job was found again.
    pub fn found_again(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.event, Event::Reattached { .. }))
    }

    /// What the failures say, and the command.
    fn said(&self) -> String {
        let mut said = self.failures();
        said.push_str(&self.ended.stderr);
        said
    }

    fn failures(&self) -> String {
        let mut said = String::new();
        for entry in &self.entries {
            if let Event::Failed { failure, .. } = &entry.event {
                let _ = write!(said, "{}; {}", failure.message, failure.hint.as_deref().unwrap_or_default());
            }
        }
        said
    }

    /// The standard output of the first step that succeeded, as the journal has it.
    pub fn stdout(&self) -> Option<String> {
        let output = self.entries.iter().find_map(|entry| match &entry.event {
            Event::Succeeded { output, .. } => output.clone(),
            _ => None,
        });
        match output {
            Some(engine::operation::OutputRef::Inline { stdout, .. }) => Some(stdout),
            _ => None,
        }
    }

    /// It wrote this and nothing else.
    ///
    /// # Errors
    /// What it wrote.
    pub fn wrote(&self, text: &str) -> Result<String, String> {
        let wrote = self.stdout();
        if wrote.as_deref() == Some(text) {
            Ok(String::new())
        } else {
            Err(format!("it wrote {wrote:?}, not {text:?}"))
        }
    }

    fn shown(&self, also: &str) -> String {
        let ends: Vec<String> = self.ends().into_iter().collect();
        let found = if self.found_again() { ", found again" } else { "" };
        let mut shown =
            format!("{} in {:.1} s, {}{found}", ends.join(" and "), self.took.as_secs_f64(), times(self.ran));
        for part in [self.failures().split(';').next().unwrap_or_default(), also] {
            if !part.is_empty() {
                let _ = write!(shown, "; {part}");
            }
        }
        shown
    }
}

/// A moment to count from.
#[derive(Debug)]
pub struct Clock(std::cell::Cell<Instant>);

impl Clock {
    /// Counting from now.
    pub fn new() -> Clock {
        Clock(std::cell::Cell::new(Instant::now()))
    }

    /// Counting from now instead.
    pub fn from_now(&self) {
        self.0.set(Instant::now());
    }

    /// How long it is.
    pub fn elapsed(&self) -> Duration {
        self.0.get().elapsed()
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl There {
    /// Brings it there: the host where it is one, and the port that leads to it.
    pub fn bring(self) -> (Option<Host>, u16) {
        match self {
            There::Host(given) => {
                let host = Host::start(given);
                let port = host.port;
                (Some(host), port)
            }
            There::Over(line, given) => {
                let host = Host::start(given);
                let port = line.lay(host.port);
                (Some(host), port)
            }
            There::Odd(odd) => (None, odd.start()),
            // Nobody listens there in this world.
            There::Nobody => (None, 9),
        }
    }
}
