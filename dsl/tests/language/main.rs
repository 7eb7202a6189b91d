//! Tests of the language from the outside: sources in, diagnostics and plans out.

mod bad_input;
mod damaged;
mod diagnostics;
mod fixture;
mod follow_ups;
mod grammar;
mod inputs_file;
mod lets;
mod order;
mod outlines;
mod plans;
mod reference;
mod robustness;
mod secrets;
mod soundness;
mod types;
mod values;
mod vocabulary;
