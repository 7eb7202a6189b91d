//! Random files out of the rules.

use std::collections::BTreeSet;

use super::rules::{Field, Item, Rules, SINGLE};

/// Makes files, and remembers what of the rules it has used.
pub struct Files<'a> {
    rules: &'a Rules,
    rng: fastrand::Rng,
    /// So that nothing that must be told apart is called the same.
    next: u32,
    used: BTreeSet<String>,
}

/// From here on the first choice is taken, which ends soonest, and what may be left out is.
const DEEP: usize = 12;

impl<'a> Files<'a> {
    pub fn new(rules: &'a Rules) -> Files<'a> {
        Files { rules, rng: fastrand::Rng::new(), next: 0, used: BTreeSet::new() }
    }

    pub fn workflow(&mut self, seed: u64) -> String {
        (self.rng, self.next) = (fastrand::Rng::with_seed(seed), 0);
        self.item(&Item::Rule("workflow".to_owned()), 0)
    }

    /// The choices and fields that no file had.
    pub fn unused(&self) -> Vec<String> {
        let mut all = BTreeSet::new();
        for (rule, choices) in &self.rules.0 {
            all.extend((0..choices.len()).map(|choice| format!("choice {choice} of <{rule}>")));
        }
        self.rules.visit(&mut |item| {
            if let Item::Fields(name, fields) = item {
                all.extend(self.rules.fields(fields).iter().map(|field| format!("{name}({}: …)", field.name)));
            }
        });
        // Fragments are only taken in.
        let fragments: BTreeSet<String> =
            ["any step", "alone", "at the end", "run", "around", "request", "content", "template", "owned", "said"]
                .map(|rule| format!("choice 0 of <{rule}>"))
                .into();
        let of_fragments = |it: &&String| !fragments.contains(*it) && !it.starts_with('(');
        all.difference(&self.used).filter(of_fragments).cloned().collect()
    }

    fn item(&mut self, item: &Item, depth: usize) -> String {
        match item {
            Item::Rule(name) if SINGLE.contains(&name.as_str()) => self.single(name),
            Item::Rule(name) => {
                let choices = &self.rules.0[name];
                let choice = if depth > DEEP { 0 } else { self.choice(name, choices.len()) };
                self.used.insert(format!("choice {choice} of <{name}>"));
                self.item(&choices[choice], depth + 1)
            }
            Item::Word(word) => word.clone(),
            Item::Values(word, values) => {
                let all: Vec<String> = values.iter().map(|item| self.item(item, depth + 1)).collect();
                format!("{word}({})", all.join(", "))
            }
            Item::List(inner) => {
                let count = if depth > DEEP { 1 } else { self.rng.usize(1..3) };
                let all: Vec<String> = (0..count).map(|_| self.item(inner, depth + 1)).collect();
                format!("[{}]", all.join(", "))
            }
            Item::Map(key, inner) => {
                let count = if depth > DEEP { 1 } else { self.rng.usize(1..6) };
                let mut entry = || format!("{}: {}", self.item(key, depth), self.item(inner, depth + 1));
                let all: Vec<String> = (0..count).map(|_| entry()).collect();
                format!("{{ {} }}", all.join(", "))
            }
            Item::Fields(name, fields) => {
                let rules = self.rules;
                let mut fields: Vec<&Field> = rules.fields(fields);
                let wanted = |it: &mut Self, field: &Field| {
                    let new = !it.used.contains(&format!("{name}({}: …)", field.name));
                    depth <= DEEP && it.rng.u8(..if new || depth < 3 { 2 } else { 4 }) == 0
                };
                fields.retain(|field| !field.optional || wanted(self, field));
                self.rng.shuffle(&mut fields);
                let mut all = Vec::new();
                for field in fields {
                    self.used.insert(format!("{name}({}: …)", field.name));
                    all.push(format!("{}: {}", field.name, self.item(&field.item, depth + 1)));
                }
                let comma = if self.rng.bool() && !all.is_empty() { "," } else { "" };
                format!("{name}({}{comma})", all.join(", "))
            }
        }
    }

    /// One of so many, and of those that no file had where there are some.
    fn choice(&mut self, rule: &str, of: usize) -> usize {
        let new: Vec<usize> =
            (0..of).filter(|choice| !self.used.contains(&format!("choice {choice} of <{rule}>"))).collect();
        if new.is_empty() || self.rng.bool() { self.rng.usize(..of) } else { new[self.rng.usize(..new.len())] }
    }

    fn single(&mut self, name: &str) -> String {
        self.next += 1;
        let n = self.next;
        match name {
            "text" if n.is_multiple_of(5) => {
                format!("r#\"t{n} ${{{{ inputs.x == none ? 'a' : host.name }}}} $${{{{\"#")
            }
            "text" | "plain" | "name" | "kebab" => format!("\"t{n}\""),
            // Whether it is one of them is no matter of form, but of what is declared.
            "one of them" => "None".to_owned(),
            "expression" => "\"len('a') == 1 || !(1 in [2, 3,])\"".to_owned(),
            "variable" => format!("\"T{n}\""),
            "path" => format!("\"/t{n}/${{{{ inputs.x }}}}\""),
            "url" => format!("\"http://${{{{ host.address }}}}/{n}\""),
            "fixed url" => format!("\"https://example.org/{n}\""),
            "file" => "\"scripts/ok.sh\"".to_owned(),
            "workflow file" => "\"install\"".to_owned(),
            "method" => format!("{:?}", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"][n as usize % 6]),
            "header" => format!("\"X-T{n}\""),
            "pattern" => format!("\"^(t{n})$\""),
            "json path" => "\".a[0]['b c']\"".to_owned(),
            "duration" if n.is_multiple_of(3) => "\"${{ inputs.x }}\"".to_owned(),
            "duration" | "fixed duration" => "\"1h30m\"".to_owned(),
            "size" => ["\"64 MiB\"", "1024"][n as usize % 2].to_owned(),
            "mode" => ["\"0644\"", "0o640", "\"${{ inputs.x }}\""][n as usize % 3].to_owned(),
            "bool" => ["true", "false"][n as usize % 2].to_owned(),
            "exit code" => (1 + n % 255).to_string(),
            "status" => (100 + n % 500).to_string(),
            "integer" => format!("-{n}"),
            "count" | "number of hosts" => "1".to_owned(),
            "hosts at most" => "99".to_owned(),
            "drawn" => "32".to_owned(),
            "port" if n.is_multiple_of(2) => "\"${{ inputs.x }}\"".to_owned(),
            "port" | "port number" => "8080".to_owned(),
            "float" => format!("{n}.5"),
            "share" => ["0", "0.25", "1"][n as usize % 3].to_owned(),
            "factor" => ["2", "1.5", "\"${{ inputs.x }}\""][n as usize % 3].to_owned(),
            "values" => "[]".to_owned(),
            "named values" => "{}".to_owned(),
            other => panic!("no such single value: {other}"),
        }
    }
}
