//! `preflight run`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use preflight_core::report::wrong_cluster;
use preflight_core::reporter::{Format, Style};
use preflight_core::{Report, Stop};

use crate::args::{FailOn, Output, Run};
use crate::inputs::put_together;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::wants_colour;

/// Runs the checks, reports, and gives the exit code.
pub(crate) async fn run(arguments: &Run, out: &mut impl Write) -> Result<u8, Problem> {
    let outputs = open(&arguments.output)?;
    let (mut preflight, _) = put_together(&arguments.inputs, arguments.snapshot.as_deref())?;
    preflight = preflight.fail_fast(arguments.fail_fast);
    if io::stderr().is_terminal() {
        preflight = preflight.listener(Progress::new(wants_colour(&io::stderr())));
    }
    let run = preflight.start()?;
    let signals = tokio::spawn(stop_on_signal(run.stopper()));
    let report = run.finish().await;
    signals.abort();
    if let Some(message) = wrong_cluster(&report) {
        return Err(Problem::input(message)
            .help("name the context of the right cluster with --context, or correct cluster_uid"));
    }
    write_all(&report, outputs, out)?;
    if arguments.report_only {
        return Ok(0);
    }
    Ok(report.exit_code(arguments.fail_on == Some(FailOn::Warning)))
}

/// Files are opened before anything is asked, so that a bad path costs nothing.
fn open(outputs: &[Output]) -> Result<Vec<(Format, Option<File>)>, Problem> {
    let mut opened = Vec::new();
    for Output { format, file } in outputs {
        let file = match file {
            None => None,
            Some(path) => Some(File::create(path).map_err(|error| {
                Problem::input(format!("cannot write {}: {error}", path.display())).help("-o FORMAT=FILE")
            })?),
        };
        opened.push((*format, file));
    }
    if opened.is_empty() {
        opened.push((Format::Terminal, None));
    }
    Ok(opened)
}

fn write_all(
    report: &Report,
    outputs: Vec<(Format, Option<File>)>,
    out: &mut impl Write,
) -> Result<(), Problem> {
    for (format, file) in outputs {
        match file {
            Some(file) => {
                let mut file = BufWriter::new(file);
                format.write(report, Style::plain(), &mut file)?;
                file.flush()?;
            }
            None => {
                let style = if wants_colour(&io::stdout()) { Style::coloured() } else { Style::plain() };
                ignore_closed(format.write(report, style, out))?;
            }
        }
    }
    ignore_closed(out.flush())
}

/// A reader that has gone away (`preflight | head`) changes nothing about the verdict.
fn ignore_closed(result: io::Result<()>) -> Result<(), Problem> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ctrl-C and SIGTERM: what is known is told.
pub(crate) async fn stop_on_signal(stop: Stop) {
    let why = signal().await;
    stop.stop(why);
    // A second one ends the process at once, as if nothing were caught.
    let _ = signal().await;
    std::process::abort();
}

#[cfg(unix)]
async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "interrupted (SIGINT)",
        _ = terminate.recv() => "terminated (SIGTERM)",
    }
}

#[cfg(not(unix))]
async fn signal() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "interrupted",
        Err(_) => std::future::pending().await,
    }
}
