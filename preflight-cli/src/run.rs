//! `preflight run`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use preflight_core::report::{ReportList, wrong_cluster};
use preflight_core::reporter::{Format, Style};
use preflight_core::{Run as PreflightRun, Stop};

use crate::args::{FailOn, Output, Run, Wait};
use crate::inputs::put_together;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::wants_colour;

/// Runs the checks, reports, and gives the exit code.
pub(crate) async fn run(arguments: &Run, out: &mut impl Write) -> Result<u8, Problem> {
    let runs = put_together(&arguments.inputs, arguments.snapshot.as_deref())?;
    let outputs = open(&arguments.output)?;
    let alone = runs.len() == 1;
    let mut started = Vec::new();
    for (preflight, _) in runs {
        let mut preflight = preflight
            .fail_fast(arguments.fail_fast)
            .only_blocking(arguments.wait == Wait::Blocking)
            .offline(arguments.offline);
        if alone && io::stderr().is_terminal() {
            preflight = preflight.listener(Progress::new(wants_colour(&io::stderr())));
        }
        started.push(preflight.start()?);
    }
    let signals = tokio::spawn(stop_on_signal(started.iter().map(PreflightRun::stopper).collect()));
    let running: Vec<_> = started.into_iter().map(|run| tokio::spawn(run.finish())).collect();
    let mut reports = Vec::new();
    for run in running {
        reports
            .push(run.await.map_err(|error| Problem::internal(format!("a run ended by itself: {error}")))?);
    }
    signals.abort();
    if let Some(message) = reports.iter().find_map(wrong_cluster) {
        return Err(Problem::input(message)
            .help("name the context of the right cluster with --context, or correct cluster_uid"));
    }
    let list = ReportList::new(reports);
    write_all(&list, outputs, out)?;
    if arguments.report_only {
        return Ok(0);
    }
    Ok(list.exit_code(arguments.fail_on == Some(FailOn::Warning)))
}

/// Files are opened before anything is asked, so that a bad path costs nothing. What they hold stays until there is
/// something to take its place.
fn open(outputs: &[Output]) -> Result<Vec<(Format, Option<File>)>, Problem> {
    let mut opened = Vec::new();
    for Output { format, file } in outputs {
        let file = match file {
            None => None,
            Some(path) => {
                let file = File::options().write(true).create(true).truncate(false).open(path);
                Some(file.map_err(|error| {
                    Problem::input(format!("cannot write {}: {error}", path.display())).help("-o FORMAT=FILE")
                })?)
            }
        };
        opened.push((*format, file));
    }
    if opened.is_empty() {
        opened.push((Format::Terminal, None));
    }
    Ok(opened)
}

fn write_all(
    list: &ReportList,
    outputs: Vec<(Format, Option<File>)>,
    out: &mut impl Write,
) -> Result<(), Problem> {
    for (format, file) in outputs {
        match file {
            Some(file) => {
                // Pipes and devices have no length.
                if file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                let mut file = BufWriter::new(file);
                write(format, list, Style::plain(), &mut file)?;
                file.flush()?;
            }
            None => {
                let style = if wants_colour(&io::stdout()) { Style::coloured() } else { Style::plain() };
                ignore_closed(write(format, list, style, out))?;
            }
        }
    }
    ignore_closed(out.flush())
}

fn write(format: Format, list: &ReportList, style: Style, to: &mut dyn Write) -> io::Result<()> {
    match list.items.as_slice() {
        [one] => format.write(one, style, to),
        _ => format.write_list(list, style, to),
    }
}

/// A reader that has gone away (`preflight | head`) changes nothing about the verdict.
pub(crate) fn ignore_closed(result: io::Result<()>) -> Result<(), Problem> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ctrl-C and SIGTERM: what is known is told.
pub(crate) async fn stop_on_signal(stops: Vec<Stop>) {
    let why = signal().await;
    stops.iter().for_each(|stop| stop.stop(why));
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
