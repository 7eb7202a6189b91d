//! The rules of files, as docs/grammar.md writes them.

use std::collections::{BTreeMap, BTreeSet};

/// One thing that may stand somewhere.
#[derive(Debug, Clone)]
pub enum Item {
    /// `<rule>`, or a single value.
    Rule(String),
    /// `Word`
    Word(String),
    /// `Word( x, … )`
    Values(String, Vec<Item>),
    /// `Word( field: x, … )`; the name may be empty.
    Fields(String, Vec<Field>),
    /// `[ x ]`
    List(Box<Item>),
    /// `{ k: x }`
    Map(Box<Item>, Box<Item>),
}

/// A field of a struct, or the fields of another rule: then its name is empty and its item that rule.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub optional: bool,
    pub item: Item,
}

/// All rules: what one can choose from, by name.
pub struct Rules(pub BTreeMap<String, Vec<Item>>);

/// Single values, which the table of the page explains.
pub const SINGLE: [&str; 35] = [
    "text",
    "plain",
    "one of them",
    "expression",
    "name",
    "kebab",
    "variable",
    "path",
    "url",
    "fixed url",
    "file",
    "workflow file",
    "method",
    "header",
    "pattern",
    "json path",
    "duration",
    "fixed duration",
    "size",
    "mode",
    "bool",
    "integer",
    "count",
    "number of hosts",
    "hosts at most",
    "exit code",
    "status",
    "port number",
    "drawn",
    "port",
    "float",
    "factor",
    "share",
    "values",
    "named values",
];

impl Rules {
    pub fn read(text: &str) -> Rules {
        let mut rules = BTreeMap::new();
        for rule in text.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
            let (name, body) = rule.split_once('=').unwrap_or_else(|| panic!("no rule: {rule}"));
            let mut reader = Reader { rest: body };
            let mut choices = vec![reader.item()];
            while reader.take("|") {
                choices.push(reader.item());
            }
            assert!(reader.rest.trim().is_empty(), "in the rule of {name}: {}", reader.rest);
            let before = rules.insert(name.trim().to_owned(), choices);
            assert!(before.is_none(), "two rules of {name}");
        }
        Rules(rules)
    }

    /// All fields, those that `..` takes in too.
    pub fn fields<'a>(&'a self, fields: &'a [Field]) -> Vec<&'a Field> {
        let mut all = Vec::new();
        for field in fields {
            match (&field.item, field.name.is_empty()) {
                (Item::Rule(rule), true) => match &self.0[rule][..] {
                    [Item::Fields(_, fields)] => all.extend(self.fields(fields)),
                    other => panic!("{rule} has no fields: {other:?}"),
                },
                _ => all.push(field),
            }
        }
        all
    }

    /// Every item of every rule.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Item)) {
        self.0.values().flatten().for_each(|item| walk(item, visit));
    }

    /// What is named and is no rule.
    pub fn undefined(&self) -> BTreeSet<String> {
        let mut undefined = BTreeSet::new();
        self.visit(&mut |item| {
            if let Item::Rule(name) = item
                && !self.0.contains_key(name)
                && !SINGLE.contains(&name.as_str())
            {
                undefined.insert(name.clone());
            }
        });
        undefined
    }
}

fn walk<'a>(item: &'a Item, visit: &mut dyn FnMut(&'a Item)) {
    visit(item);
    match item {
        Item::Rule(_) | Item::Word(_) => {}
        Item::List(inner) => walk(inner, visit),
        Item::Values(_, values) => values.iter().for_each(|item| walk(item, visit)),
        Item::Map(key, inner) => {
            walk(key, visit);
            walk(inner, visit);
        }
        Item::Fields(_, fields) => fields.iter().for_each(|field| walk(&field.item, visit)),
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn take(&mut self, sign: &str) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(sign);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, sign: &str) {
        assert!(self.take(sign), "`{sign}` is expected: {}", self.rest);
    }

    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn item(&mut self) -> Item {
        if self.take("<") {
            let (name, rest) = self.rest.split_once('>').expect("a rule's name");
            self.rest = rest;
            return Item::Rule(name.to_owned());
        }
        if self.take("[") {
            let item = self.item();
            self.expect("]");
            return Item::List(Box::new(item));
        }
        if self.take("{") {
            let key = self.item();
            self.expect(":");
            let item = self.item();
            self.expect("}");
            return Item::Map(Box::new(key), Box::new(item));
        }
        let word = self.word();
        if !self.take("(") {
            assert!(!word.is_empty(), "something is expected: {}", self.rest);
            return Item::Word(word);
        }
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['[', '<']) {
            let mut values = vec![self.item()];
            while self.take(",") {
                values.push(self.item());
            }
            self.expect(")");
            return Item::Values(word, values);
        }
        let mut fields = Vec::new();
        while !self.take(")") {
            if self.take("..") {
                fields.push(Field { name: String::new(), optional: false, item: self.item() });
            } else {
                let name = self.word();
                let optional = self.take("?");
                self.expect(":");
                fields.push(Field { name, optional, item: self.item() });
            }
            self.take(",");
        }
        Item::Fields(word, fields)
    }
}
