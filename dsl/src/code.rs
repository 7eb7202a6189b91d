//! The codes of diagnostics, and what each one means.
//!
//! A code never changes its meaning, and one that is given up is not given to something else. `A01xx` is the structure of
//! a workflow, `A02xx` expressions and types, `A03xx` the values and hosts that a workflow is run with.

use std::fmt;

/// What [`codes`] tells of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeInfo {
    /// Such as `A0107`.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What it means, why it is so, and what to do about it.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($( $name:ident = $id:literal, $title:literal, $explanation:literal; )*) => {
        /// Which kind of message a diagnostic is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $( #[doc = $title] $name, )*
        }

        impl Code {
            /// Such as `A0107`.
            pub fn id(self) -> &'static str {
                match self { $( Code::$name => $id, )* }
            }
        }

        const CODES: &[CodeInfo] = &[
            $( CodeInfo { id: $id, title: $title, explanation: $explanation }, )*
        ];
    };
}

impl Code {
    /// Whether it is wrong because of where an expression stands: of a named value, where it is read.
    pub(crate) fn depends_on_place(self) -> bool {
        matches!(self, Code::MayBeAbsent | Code::NotOneHost | Code::NotHere)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Every code there is, in order.
pub fn codes() -> &'static [CodeInfo] {
    CODES
}

/// What a code means: `explain("A0107")`.
pub fn explain(id: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|info| info.id.eq_ignore_ascii_case(id))
}

codes! {
    TooLarge = "A0101", "the file is too large",
        "A workflow file has a largest size, so that checking one takes a known amount of memory and time. Scripts and \
         configuration belong into files of their own beside the workflow; values belong into inputs.";
    Syntax = "A0102", "this is not RON",
        "A workflow is written in RON (Rusty Object Notation): `Name(field: value)`, lists in `[]`, maps in `{}`, texts in \
         double quotes. The place that is underlined cannot be read as that. What usually is missing is a comma, a closing \
         bracket or a quotation mark, there or a little before.";
    TooDeep = "A0103", "brackets are nested too deeply",
        "No workflow needs brackets this deep inside each other; the limit keeps a file made to exhaust the program's stack \
         from doing so.";
    DuplicateKey = "A0104", "a field or key is given twice",
        "RON readers usually let the last one win without a word. Here it is an error, because the other one was meant for \
         something too. Both places are shown; remove one.";
    UnknownField = "A0105", "no such field",
        "Every field that can be written has an effect, and what has none is refused instead of being ignored: a typing \
         error in `timeout` would otherwise mean that there is none. The help names the fields that there are.";
    MissingField = "A0106", "a field is missing",
        "This field has no default, so it must be written.";
    UnknownStep = "A0107", "a step is needed that does not exist",
        "`needs` names the ids of other steps of the same workflow. Nothing is called that; the help names what is nearest.";
    PositionalAndNamed = "A0108", "a value without a name stands among named ones",
        "The fields of a struct are named, all of them: `Script(file: \"install.sh\", args: [...])`. Only `Run([...])`, \
         `Shell(\"...\")` and `Choice([...])`, which have one value, are written without a name.";
    WrongShape = "A0109", "a value of another kind is expected here",
        "The field expects another kind of value than the one written: a text instead of a number, a list instead of a \
         text, and so on.";
    UnknownVariant = "A0110", "no such word here",
        "Where the language offers a choice – a type, an action, a policy – one of its words must stand. The help names all \
         of them.";
    BadName = "A0111", "a name is not written as names are",
        "Steps, inputs, outputs and roles are called in `snake_case` (small letters, digits, `_`, beginning with a letter), \
         so that `-` can be minus in expressions; workflows are called in `kebab-case`. Variables in `env` are called as shells allow it, \
         but not as one that a shell sets itself, whose value would not arrive, nor `ANNEAL_...` or `a_...`, which are the engine's.";
    DuplicateStep = "A0112", "two steps have the same id",
        "An id is how `needs`, expressions, the journal and people name a step, so it is unique in its workflow.";
    UnknownRole = "A0113", "a role is named that does not exist",
        "A step or a group runs on the hosts of a role, and roles are declared under `roles` at the top of the workflow.";
    Cycle = "A0114", "steps wait for each other in a circle",
        "Each of these steps waits for the one before it, so none could ever start. An edge comes from `needs`, or from a \
         reference such as `steps.x.out.y`. Remove one of the edges that are shown.";
    Malformed = "A0115", "a value cannot be read",
        "The value is of the right kind but not written in a way that can be read: durations are texts such as `90s`, \
         `1h30m` or `500ms`, sizes texts such as `64 MiB`, permission bits octal such as `0o644` or `\"0644\"`, URLs are \
         absolute.";
    OutOfLimits = "A0116", "a value is out of its limits",
        "Everything has a limit; the message names this one. Some are limits of the program (`limits` in the manual), some \
         are those that the workflow itself sets by `min` and `max`.";
    Empty = "A0117", "nothing is given where something must be",
        "An empty command, list or text has no meaning here.";
    BadPattern = "A0118", "a pattern is no regular expression",
        "Patterns are written in the syntax of Rust's `regex` crate, which matches in linear time and therefore has no \
         look-around and no back-references. In RON a backslash in a text is doubled, or the text is written raw: \
         `r\"\\d+\"`.";
    UnusedInput = "A0119", "an input is not used",
        "The input is declared, and nobody who gives it a value would see an effect. Use it or remove it.";
    UnusedRole = "A0120", "a role is not used",
        "The role is declared, but no step runs on it and no expression names it. Use it or remove it.";
    MissingFile = "A0121", "a file of the workflow cannot be read",
        "Scripts and files that steps name are read when the workflow is checked, because a plan carries them with it. \
         Their paths are relative to the folder of the workflow.";
    PathLeaves = "A0122", "a path leaves the workflow's folder",
        "A workflow is a folder that can be copied, reviewed and signed as a whole, so what it names lies in that folder: \
         no absolute path, no `..`. For a file from elsewhere on the operator's machine declare an input of type `File`.";
    BadScript = "A0123", "a script cannot be run as it is",
        "A script is UTF-8 text without NUL bytes, and not larger than the limit.";
    Splice = "A0124", "an expression in shell text",
        "Nothing is ever spliced into shell text, because a value with a quotation mark, a space or a `;` in it would then \
         be run as a command. Pass the value instead: by `env` and read it as \"$NAME\", by `args` of a script and read it \
         as \"$1\", or by `stdin`.";
    NeedsCompanion = "A0125", "a policy lacks what it relies on",
        "`interrupted: Probe` asks the step's probe whether the effect is there, and `interrupted: UndoThenRerun` runs its \
         `undo`: without one there is nothing to ask or run. `undo: Restore` puts back what the action has kept by `backup: true`. A step without `on` has no host on which \
         a probe or an undo could run, but by `Local`. A mail server is given both `user` and `password`, or none. `otherwise` of a gate says what no answer `within` a time means, \
         so there must be such a time.";
    NoEffect = "A0126", "a field has no effect here",
        "The field exists, but together with what else is written here it does nothing, so it is refused rather than \
         ignored. The message says what it would need.";
    NeedTwice = "A0127", "a step is needed twice",
        "Naming a step once in `needs` is enough. Perhaps another one was meant.";
    Unanchored = "A0128", "a pattern matches anywhere in the value",
        "A `pattern` is searched in the value, so without `^` at its beginning and `$` at its end a value passes that merely \
         contains what was meant.";
    Misplaced = "A0129", "something stands where it has no place",
        "Not everything can stand everywhere: a group holds steps and no group, all of them on its own role; a gate and an \
         `each` stand outside of groups; `on_state` belongs to the steps of `finally`, which have no `undo`, no `batch` and \
         no `on_failure` but `Continue`, because whatever happens in them, everything else is over already.";
    GroupStuck = "A0130", "a group would let no second host in",
        "The hosts of a role pass through a group a few at a time: host 2 cannot enter before host 1 has left, and host 1 \
         leaves when its last step is over. Here such a step waits, by way of the edges that are shown, for all hosts – host \
         2 among them – to be done with an earlier one: each waits for the other for ever. Take the step that waits out of \
         the group, or the one it waits for into it, or split the group.";
    WaitsForFinally = "A0131", "a step waits for one of `finally`",
        "The steps of `finally` begin when everything else is over, so nothing outside of `finally` can wait for one. Move the \
         step that waits into `finally`, or the other one out of it.";
    SecretArgs = "A0140", "secrets are allowed where others can see them",
        "Arguments are in every process list, and URLs in the logs of servers and proxies. `allow_secret_args: \"why\"` lets secrets \
         into those of one step, for what takes them no other way, such as a webhook whose URL is its password. That is said at every \
         check, kept in the plan and shown with each operation. What the engine itself shows and stores still holds no secret.";
    CallFails = "A0145", "a workflow cannot be called",
        "`Call(workflow: \"name\")` writes another workflow out in this one. It is looked for beside this one, as \"name.ron\" or by the path that \
         is given, and then among the bundled ones. It is checked by itself first, and is called only if that finds no error. Workflows cannot \
         call each other in a circle.";
    CallMismatch = "A0146", "what a call gives does not fit the workflow",
        "A workflow that is called is given what it would be given when it is run: a value for each of its inputs that has no default, \
         and roles that have as many hosts as its own take. A role that is not named is filled by the caller's role of the same name.";
    LetCycle = "A0160", "named values read each other in a circle",
        "`let.x` stands for its expression, so a named value that reads itself, also by way of others, would have no end. The \
         whole circle is shown; write one of them without the others.";
    UnreadLet = "A0161", "a named value is not read",
        "It is declared under `let`, and nothing reads it. Use it as `let.name`, or remove it.";
    BadGenerate = "A0162", "a secret cannot be drawn like this",
        "`generate: 32` draws so many random letters and digits where a secret Text is not given, when an operation is created. What \
         is drawn is secret, is never absent, and keeps to no pattern; its length must fit `min` and `max`.";
    OtherBraces = "A0163", "an expression in the brackets of another language",
        "Only `${{ … }}` is an expression here; `{{ … }}`, `${…}` and `$(…)` are text that passes through untouched, so that Go templates, Jinja and \
         shell keep theirs. A text that has `inputs.`, `steps.` or another of our names in such brackets is probably meant otherwise.";
    JsonPath = "A0175", "a path in JSON cannot be read",
        "`Json(path: ...)` names a value in what the program writes: `.` is the whole, `.items[0].name` goes by names and \
         positions, and a name with other characters than letters, digits, `_` and `-` stands in brackets and single quotes: \
         `.labels['app.kubernetes.io/name']`. There are no filters and no wildcards: let the program choose, or use `jq` in it.";
    BadTemplate = "A0180", "a template cannot be read",
        "A template of `WriteFile` is written in Jinja, in UTF-8. It is read when the workflow is checked, so that no step fails \
         because of a `{% endif %}` that is missing. A template is one file: it includes, extends and imports nothing, and its \
         filters and tests are those of Jinja.";
    UnknownVar = "A0181", "a template names something that is not given to it",
        "A template sees the `vars` of its `WriteFile` and nothing else – no input, no environment, no fact of the host –, so that \
         what a file depends on stands in the workflow: its edges, and whether a secret flows into it. Give the value by `vars`, \
         or write it as the template names it.";
    UnusedVar = "A0182", "a template does not use what is given to it",
        "The value is computed and given to the template, which does not name it. Use it there or remove it.";
    Contradiction = "A0183", "a patch contradicts itself",
        "`absent` removes lines, and `ensure` and `replace` make lines: the same line cannot be to be there and not to be there. \
         Each run would undo what the one before it did.";
    OtherRole = "A0190", "a file is copied to another role than the step's",
        "A `Copy` runs on the host that gets the file, so that each of them has its own checkpoint: `on` and the `role` of `to` are the \
         same thing. Say it once.";
    Overwrites = "A0191", "several nodes would write the same file here",
        "`Download` brings a file to the machine that Anneal runs on, once for each host of the step's role or each element of its \
         `each`. With the same name for all of them each would overwrite what the one before it brought. Put what tells them apart into \
         `to`: `${{ host.name }}`, or `${{ each }}`.";
    NotRoot = "A0192", "only root can restart a machine",
        "`Reboot` asks the host's init to start it anew, which it does for root only. Let the step run by sudo: `as_user: \"root\"`; \
         or log in as root.";
    ExpressionSyntax = "A0201", "an expression cannot be read",
        "Expressions have the operators `?: || && == != < <= > >= in ?? + - * / !`, texts in single quotes, references such \
         as `inputs.port` and a few functions. In texts they stand in `${{ … }}`; `when` is one itself and takes none.";
    UnknownReference = "A0202", "an expression names something that does not exist",
        "Expressions can name `inputs.x`, `let.x`, `steps.s.out.y`, `steps.s.state`, `roles.r.name`, `roles.r.address`, `host.name`, \
         `host.address`, `each`, `operation.id`, `operation.started_at`, in `finally` `operation.state` and `operation.failure`, and the functions \
         `len, basename, starts_with, join, split, sha256, json, seconds, sum, min, max, count, any, all, format`.";
    TypeMismatch = "A0203", "an expression has another type than is needed",
        "Types are checked before any host is touched. The message says which type is there and which is needed.";
    MayBeAbsent = "A0204", "a value is needed, but it may be absent",
        "An optional input may not be given, and a step that has a `when` or a `probe` may be skipped and then has no \
         output. Say what is to be taken instead by `?? fallback`, or let the step run only where the value is there: \
         `when: \"inputs.x != none\"`; the other fields of that step may then use it as it is.";
    SecretLeaks = "A0205", "a secret would be seen",
        "Arguments are in every process list, URLs in logs, outputs and decisions in the journal. A secret, and whatever is \
         computed from one, may therefore go only into `env`, `stdin` and the content of a file. Whether it is present is no secret: \
         `inputs.password != none` and `??` can be used anywhere.";
    SecretComputed = "A0206", "a secret that is no text cannot be computed with",
        "The engine never sees the text of a secret, only the step's executor does, at the last moment. So a secret number, \
         size or duration can be put into a text, compared with `none` or replaced by `??`, and nothing else.";
    NoText = "A0207", "a value has no text form",
        "A list, a record or a map cannot be put into a text as it is. Use a field or an element of it, or \
         `join(list, ',')`.";
    NotOneHost = "A0208", "a role or step has not exactly one host",
        "`roles.r.address` is the address of one host, so the role must be `One`, and so must be the role that a `Copy` is from; likewise the state of a step that runs on \
         several hosts, or for `each` of several elements, is not one value, except for a step on the same role with the same \
         `each`, where it is that of the same host or element. A step with `each` runs on one host: its nodes are the elements.";
    NotHere = "A0209", "a reference cannot be used here",
        "What an expression may name depends on where it stands: outputs and gates belong to no host, so they have no `host`; \
         durations, numbers, permission bits and the workflow's own `locks` and `instances` are fixed before the operation \
         begins, so they can name inputs only; the `where` of a role and the `by` of a batch are asked of each host by itself, so they \
         can name inputs and the `host`; a step can use its own output only in `undo`; `each` is known only in the step \
         that has one; and how the operation ended, `operation.state` and `operation.failure`, only in `finally`, whose \
         steps in turn can be read by each other only.";
    Arguments = "A0210", "a function is called with the wrong number of arguments",
        "`len(x)`, `basename(x)`, `starts_with(text, prefix)`, `join(list, separator)`, `split(text, separator)`, `sha256(x)`, \
         `json(x)`, `seconds(duration)`, `sum`, `min`, `max`, `count`, `any` and `all` of one list or map, and \
         `format('{} of {}', a, b)`, whose first argument is a text in quotes with a place for each of the others, are what there is.";
    Arithmetic = "A0211", "a calculation has no result",
        "Calculations are checked: a division by zero, or a result that is too large for its type, is an error and never a \
         wrong number.";
    NoKey = "A0212", "the elements of a list have no key",
        "With `each` a step has one node for each element of a list, and a node is known by its key, a text: of a single \
         value, the value itself; of a record, its field `key`, or else `name`. That field must be a text that is always \
         there and is no secret. Lists of lists or of maps have no keys.";
    MissingInput = "A0301", "an input is not given",
        "The input is neither optional nor has it a default, so a value must be given. A secret is not given on the command \
         line: it comes from the inventory, from an environment variable, or is asked for.";
    UnknownInput = "A0302", "a value is given for an input that does not exist",
        "Each value must belong to an input that the workflow declares; fields of a record are named with a dot, such as \
         `proxy.http`.";
    BadValue = "A0303", "a given value does not fit its input",
        "The value cannot be read as the declared type, or is outside of what `min`, `max`, `pattern` or the choices allow. \
         The value of a secret is not repeated.";
    SecretOnCommandLine = "A0304", "a secret is given on the command line",
        "Command lines are in the process list and in the shell's history. Give the secret by reference \
         – `Env(\"NAME\")`, `File(\"path\")` or `Command([...])` – in the inventory or in a file of `--inputs`, or leave it out and be asked for it.";
    UserInfo = "A0305", "a URL has a user or password in it",
        "A URL with user info is a secret, and this input is not declared as one: it would be stored and shown. Declare the \
         input with `secret: true`, or give the URL without the user.";
    RoleFilled = "A0306", "a role is not filled as it is declared",
        "`One` takes exactly one host, `Optional` at most one, `Many(min:, max:)` as many as it says.";
    UnknownGivenRole = "A0307", "hosts are given for a role that does not exist",
        "Each host must fill a role that the workflow declares.";
    DuplicateSlot = "A0308", "a host fills the same role twice",
        "Each host of a role has its own checkpoint, named by the host, so it can be there only once.";
    UnreadableInput = "A0309", "a file that is given cannot be read",
        "An input of type `File` names a file on the operator's machine, which is read before the operation begins.";
    ShortSecret = "A0310", "a secret is too short to be found in output",
        "What programs write is searched for secrets, which are replaced. A secret of a few bytes would be found everywhere, \
         so it is not searched for: it is protected only by where it may go.";
}
