//! What a campaign prints: a row for each kind of injection, and which rounds did not survive.

use std::collections::BTreeMap;

use super::broken::Broken;

/// What came of the injections of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// How often it was done.
    pub injected: u64,
    /// After how many of these everything was as it must be.
    pub survived: u64,
    /// What is counted beside it: acknowledged events, or faults that were named.
    pub counted: u64,
    /// How often something was lost.
    pub lost: u64,
    /// How often something was run twice.
    pub twice: u64,
}

/// The whole table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: BTreeMap<&'static str, Row>,
    order: Vec<&'static str>,
    /// What was broken, in words.
    pub broken: Vec<String>,
}

impl Table {
    /// Adds what came of one injection.
    pub fn add(&mut self, kind: &'static str, counted: u64, came: Result<(), (String, Broken)>) {
        if !self.order.contains(&kind) {
            self.order.push(kind);
        }
        let row = self.rows.entry(kind).or_default();
        row.injected += 1;
        row.counted += counted;
        match &came {
            Ok(()) => row.survived += 1,
            Err((_, Broken::Lost(_))) => row.lost += 1,
            Err((_, Broken::Twice(_))) => row.twice += 1,
            Err((_, Broken::Other(_))) => {}
        }
        if let Err((what, why)) = came {
            let colon = if what.is_empty() { "" } else { ": " };
            self.broken.push(format!("{kind}{colon}{what}: {why}"));
        }
    }

    /// Everything together.
    pub fn total(&self) -> Row {
        self.rows.values().fold(Row::default(), |sum, row| Row {
            injected: sum.injected + row.injected,
            survived: sum.survived + row.survived,
            counted: sum.counted + row.counted,
            lost: sum.lost + row.lost,
            twice: sum.twice + row.twice,
        })
    }

    /// As it is shown.
    pub fn shown(&self, kind: &str, counted: &str) -> String {
        let wide = counted.len();
        let mut text = format!("| {kind:<58} | injected | survived | {counted} | lost | run twice |\n");
        text.push_str(&format!("|{:-<60}|---------:|---------:|{:->2$}:|-----:|----------:|\n", "", "", wide + 1));
        let rows = self.order.iter().map(|kind| (*kind, self.rows[kind]));
        for (kind, Row { injected, survived, counted, lost, twice }) in rows.chain([("all", self.total())]) {
            text.push_str(&format!(
                "| {kind:<58} | {injected:>8} | {survived:>8} | {counted:>wide$} | {lost:>4} | {twice:>9} |\n"
            ));
        }
        for broken in &self.broken {
            text.push_str(&format!("NOT SURVIVED: {broken}\n"));
        }
        text
    }
}
