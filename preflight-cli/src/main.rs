//! `preflight`: GO, NO-GO or UNKNOWN, before anything is applied. Arguments, wiring, exit codes; no logic.

mod args;
mod catalogue;
mod inputs;
mod problem;
mod progress;
mod rbac;
mod run;
mod snapshot;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Command, Preflight};
use problem::Problem;

fn main() -> ExitCode {
    let arguments = match Preflight::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing is left to be told if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    log(arguments.verbose);
    match dispatch(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            let _ = write!(io::stderr(), "{}", problem.render(wants_colour(&io::stderr())));
            ExitCode::from(problem.code())
        }
    }
}

fn dispatch(arguments: Preflight) -> Result<u8, Problem> {
    let mut out = io::stdout().lock();
    // What asks no server is made whole before any of it is written.
    let mut text = Vec::new();
    let code = match arguments.command {
        None => return runtime()?.block_on(run::run(&arguments.run, &mut out)),
        Some(Command::Run(run)) => return runtime()?.block_on(run::run(&run, &mut out)),
        Some(Command::Snapshot(snapshot)) => {
            return runtime()?.block_on(snapshot::record(&snapshot, &mut out));
        }
        Some(Command::List(list)) => catalogue::list(&list, &mut text)?,
        Some(Command::Explain { name }) => catalogue::explain(&name, &mut text)?,
        Some(Command::Schema { of }) => catalogue::schema(of, &mut text)?,
        Some(Command::Rbac(options)) => rbac::print(&options, &mut text)?,
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Preflight::command(), "preflight", &mut text);
            0
        }
    };
    run::ignore_closed(out.write_all(&text).and_then(|()| out.flush()))?;
    Ok(code)
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Problem::internal(format!("cannot start: {error}")))
}

/// Colour only on a terminal, and not where `NO_COLOR` is set.
pub(crate) fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Logs of Preflight's own crates only: what libraries log may hold headers and bodies.
fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = format!("off,preflight={level},preflight_core={level},preflight_plugins={level}");
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(wants_colour(&io::stderr()))
        .finish();
    // Only fails if a subscriber is set already, which this is the first to do.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
