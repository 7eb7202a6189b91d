//! `anneal`: workflows on hosts, durably. Thin: it reads what is given, asks the process that holds the store, and shows.

mod args;
mod command;
mod data_dir;
mod files;
mod given;
mod inventory;
mod prompt;
mod report;
mod secret_source;
mod session;
mod show;
mod stop;
mod time;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no errors.
            let code = if error.use_stderr() { report::USAGE } else { report::OK };
            // A closed terminal is no reason to say more.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    init_tracing();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::error(&report::Problem::failed(format!("no threads can be started: {error}")));
            return ExitCode::from(report::FAILED);
        }
    };
    let code = match runtime.block_on(command::run(args)) {
        Ok(code) => code,
        Err(problem) => {
            report::error(&problem);
            problem.code
        }
    };
    // Executors that are let go of must not keep us.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Our own log, for whoever looks for a fault: to stderr, `ANNEAL_LOG=debug` and finer; silent otherwise but for errors.
fn init_tracing() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("ANNEAL_LOG").unwrap_or_else(|_| EnvFilter::new("error,sled=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
