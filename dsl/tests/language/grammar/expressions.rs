//! The EBNF of expressions: sentences of it, and whether something is one.

use std::collections::{BTreeMap, BTreeSet};

/// What a rule is made of.
#[derive(Debug, Clone)]
enum Ebnf {
    Token(String),
    Rule(String),
    OneOf(Vec<Ebnf>),
    Row(Vec<Ebnf>),
    Perhaps(Box<Ebnf>),
    Often(Box<Ebnf>),
}

/// All rules, by name.
pub struct Grammar(BTreeMap<String, Ebnf>);

/// Tokens that are no fixed sign or word, each with some of them.
const TOKENS: [(&str, &[&str]); 5] = [
    ("integer", &["0", "1", "9223372036854775807"]),
    ("float", &["0.5", "12.25"]),
    ("text", &["'a'", "''", "'it\\'s'", "'é ${'"]),
    ("name", &["inputs", "a", "_b2", "host", "nones"]),
    ("any-name", &["a", "none", "in", "x1"]),
];

impl Grammar {
    pub fn read(text: &str) -> Grammar {
        let mut rules = BTreeMap::new();
        for rule in text.split(" ;").map(str::trim).filter(|rule| !rule.is_empty()) {
            let (name, body) = rule.split_once('=').unwrap_or_else(|| panic!("no rule: {rule}"));
            let mut words: Vec<&str> = body.split_whitespace().rev().collect();
            let read = one_of(&mut words);
            assert!(words.is_empty(), "in the rule of {name}: {words:?}");
            rules.insert(name.trim().to_owned(), read);
        }
        Grammar(rules)
    }

    /// Whether all tokens together are an expression.
    pub fn accepts(&self, tokens: &[String]) -> bool {
        self.ends(&Ebnf::Rule("expression".to_owned()), tokens, 0).contains(&tokens.len())
    }

    /// Where something that begins here may end.
    fn ends(&self, what: &Ebnf, tokens: &[String], at: usize) -> BTreeSet<usize> {
        match what {
            Ebnf::Token(token) => tokens.get(at).filter(|next| *next == token).map(|_| at + 1).into_iter().collect(),
            Ebnf::Rule(name) => match self.0.get(name) {
                Some(rule) => self.ends(rule, tokens, at),
                None => tokens.get(at).filter(|next| is_token(name, next)).map(|_| at + 1).into_iter().collect(),
            },
            Ebnf::OneOf(all) => all.iter().flat_map(|one| self.ends(one, tokens, at)).collect(),
            Ebnf::Row(row) => row.iter().fold([at].into(), |from, part| {
                from.into_iter().flat_map(|at: usize| self.ends(part, tokens, at)).collect()
            }),
            Ebnf::Perhaps(part) => {
                let mut ends = self.ends(part, tokens, at);
                ends.insert(at);
                ends
            }
            Ebnf::Often(part) => {
                let (mut ends, mut new): (BTreeSet<usize>, BTreeSet<usize>) = ([at].into(), [at].into());
                while !new.is_empty() {
                    let next: BTreeSet<usize> = new.iter().flat_map(|at| self.ends(part, tokens, *at)).collect();
                    new = next.difference(&ends).copied().collect();
                    ends.extend(&new);
                }
                ends
            }
        }
    }

    /// Tokens that are an expression, or nearly.
    pub fn tokens(&self, rng: &mut fastrand::Rng) -> Vec<String> {
        let mut tokens = Vec::new();
        self.make(&Ebnf::Rule("expression".to_owned()), 0, rng, &mut tokens);
        let all: Vec<String> =
            self.signs().into_iter().chain(["1".to_owned(), "a".to_owned(), "'a'".to_owned()]).collect();
        for _ in 0..[0, 0, 1, 2][rng.usize(..4)] {
            let at = rng.usize(..=tokens.len());
            let some = all[rng.usize(..all.len())].clone();
            match rng.u8(..3) {
                0 => tokens.insert(at, some),
                1 if at < tokens.len() => tokens[at] = some,
                _ if at < tokens.len() => drop(tokens.remove(at)),
                _ => {}
            }
        }
        tokens
    }

    /// All signs and words that the rules name.
    fn signs(&self) -> BTreeSet<String> {
        fn of(what: &Ebnf, signs: &mut BTreeSet<String>) {
            match what {
                Ebnf::Token(token) => drop(signs.insert(token.clone())),
                Ebnf::Rule(_) => {}
                Ebnf::OneOf(all) | Ebnf::Row(all) => all.iter().for_each(|part| of(part, signs)),
                Ebnf::Perhaps(part) | Ebnf::Often(part) => of(part, signs),
            }
        }
        let mut signs = BTreeSet::new();
        self.0.values().for_each(|rule| of(rule, &mut signs));
        signs
    }

    fn is_terminal(&self, what: &Ebnf) -> bool {
        match what {
            Ebnf::Token(_) => true,
            Ebnf::Rule(name) => !self.0.contains_key(name),
            Ebnf::Row(row) => row.iter().all(|part| self.is_terminal(part)),
            Ebnf::OneOf(_) | Ebnf::Perhaps(_) | Ebnf::Often(_) => false,
        }
    }

    fn make(&self, what: &Ebnf, depth: usize, rng: &mut fastrand::Rng, tokens: &mut Vec<String>) {
        // Deep inside, what ends soonest: a token where there is one, nothing of what need not be.
        let deep = depth > 30 || tokens.len() > 12;
        match what {
            Ebnf::Token(token) => tokens.push(token.clone()),
            Ebnf::Rule(name) => match (self.0.get(name), TOKENS.iter().find(|(token, _)| token == name)) {
                (Some(rule), _) => self.make(rule, depth + 1, rng, tokens),
                (None, Some((_, some))) => tokens.push(some[rng.usize(..some.len())].to_owned()),
                (None, None) => panic!("no rule and no token: {name}"),
            },
            Ebnf::OneOf(all) if deep => {
                let ends = all.iter().find(|one| self.is_terminal(one));
                self.make(ends.or(all.last()).expect("something to choose"), depth, rng, tokens);
            }
            Ebnf::OneOf(all) => self.make(&all[rng.usize(..all.len())], depth, rng, tokens),
            Ebnf::Row(row) => row.iter().for_each(|part| self.make(part, depth, rng, tokens)),
            Ebnf::Perhaps(part) | Ebnf::Often(part) => {
                if !deep && rng.u8(..5) == 0 {
                    self.make(part, depth, rng, tokens);
                }
            }
        }
    }
}

fn is_token(kind: &str, token: &str) -> bool {
    let name = token.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    match kind {
        "integer" => token.chars().all(|c| c.is_ascii_digit()),
        "float" => token.contains('.') && token.starts_with(|c: char| c.is_ascii_digit()),
        "text" => token.starts_with('\''),
        "any-name" => name,
        "name" => name && !["none", "true", "false", "in"].contains(&token),
        other => panic!("no such token: {other}"),
    }
}

fn one_of(words: &mut Vec<&str>) -> Ebnf {
    let mut all = vec![row(words)];
    while words.last() == Some(&"|") {
        words.pop();
        all.push(row(words));
    }
    if all.len() == 1 { all.remove(0) } else { Ebnf::OneOf(all) }
}

fn row(words: &mut Vec<&str>) -> Ebnf {
    let mut row = Vec::new();
    while let Some(word) = words.pop_if(|word| !["|", ")", "]", "}"].contains(word)) {
        let mut inner = |close: &str| {
            let inner = one_of(words);
            assert_eq!(words.pop(), Some(close));
            inner
        };
        row.push(match word {
            "(" => inner(")"),
            "[" => Ebnf::Perhaps(Box::new(inner("]"))),
            "{" => Ebnf::Often(Box::new(inner("}"))),
            word => match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
                Some(token) => Ebnf::Token(token.to_owned()),
                None => Ebnf::Rule(word.to_owned()),
            },
        });
    }
    Ebnf::Row(row)
}
