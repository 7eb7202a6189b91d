//! What only reads workflows, or is made of them.

use clap::{Args as ClapArgs, ValueEnum};

/// `anneal graph`
#[derive(Debug, ClapArgs)]
pub struct Graph {
    /// A workflow file, or the name of a bundled workflow such as registry-install
    #[arg(value_name = "FILE|NAME")]
    pub workflow: String,
    /// How it is drawn; with --json it is data
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = GraphFormat::Text, conflicts_with = "json")]
    pub format: GraphFormat,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For a terminal
    Text,
    /// For Graphviz: `anneal graph FILE --format dot | dot -Tsvg`
    Dot,
    /// For Mermaid, in Markdown
    Mermaid,
}
