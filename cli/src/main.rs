//! `anneal`: workflows on hosts, durably. Thin: it reads what is given, asks the process that holds the store, and shows.

mod args;
mod columns;
mod command;
mod data_dir;
mod draw;
mod files;
mod given;
mod inputs_file;
mod inventory;
mod limit;
mod outfile;
mod prompt;
mod reach;
mod report;
mod scan;
mod sealed;
mod secret_source;
mod session;
mod show;
mod size;
mod ssh_config;
mod stop;
mod time;
mod told;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command, LogFormat};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no errors.
            let code = if error.use_stderr() { report::USAGE } else { report::OK };
            if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
                report::error(&unusable(&error), true);
            } else {
                // A closed terminal is no reason to say more.
                let _ = error.print();
            }
            return ExitCode::from(code);
        }
    };
    let json = args.global.json;
    match &args.command {
        Command::Serve(serve) => init_tracing("info,sled=off,russh=warn", serve.log_format),
        _ => init_tracing("error,sled=off", LogFormat::Text),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::error(&report::Problem::failed(format!("no threads can be started: {error}")), json);
            return ExitCode::from(report::FAILED);
        }
    };
    let code = match runtime.block_on(command::run(args)) {
        Ok(code) => code,
        Err(problem) => {
            report::error(&problem, json);
            problem.code
        }
    };
    // Executors that are let go of must not keep us.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// What clap says of a command line, for programs: its first line, and the rest as the hint.
fn unusable(error: &clap::Error) -> report::Problem {
    let text = error.to_string();
    let (first, rest) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    let rest: Vec<&str> = rest.split_whitespace().collect();
    report::Problem::usage(first.trim_start_matches("error: ")).hint(rest.join(" "))
}

/// Our own log, to stderr: what `ANNEAL_LOG` says, such as `debug`, else the default.
fn init_tracing(default: &str, format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("ANNEAL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}
