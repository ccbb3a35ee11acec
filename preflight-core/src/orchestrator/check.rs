//! One check under its deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::select::Selected;
use crate::cluster::Read;
use crate::context::{Context, Shared};
use crate::error::Undecided;
use crate::examine::Record;
use crate::redact::redact;
use crate::result::CheckResult;

/// Why a run is cut short. What then was not concluded is unknown, or set aside by fail-fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cut {
    Signal(String),
    FailFast(String),
}

/// Runs the check to its end, its deadline or the end of the run, whichever comes first, and says of every rule
/// what became of it. It never fails: an error, a panic and a time-out are results.
pub(super) async fn perform(
    check: Selected,
    shared: Arc<Shared>,
    start: Instant,
    cap: Option<Duration>,
    mut cut: watch::Receiver<Option<Cut>>,
) -> CheckResult {
    let Selected { plugin, descriptor } = check;
    let mut time = descriptor.timeout.unwrap_or(descriptor.phase.deadline()).min(descriptor.phase.deadline());
    if let Some(cap) = cap {
        time = time.min(cap);
    }
    let record = Record::new(descriptor.name, descriptor.phase, &descriptor.rules);
    let reads: Arc<[Read]> = descriptor.reads.clone().into();
    let context = Context {
        shared: Arc::clone(&shared),
        record: record.clone(),
        plugin: descriptor.name,
        reads,
        deadline: start + time,
    };
    let mut task = tokio::spawn(async move { plugin.check(&context).await.map(drop) });
    let end = tokio::select! {
        done = timeout_at(start + time, &mut task) => done.map_or(End::OutOfTime, |joined| match joined {
            Ok(Ok(())) => End::Done,
            Ok(Err(undecided)) => End::Undecided(undecided),
            Err(error) => End::Panicked(panic_text(error)),
        }),
        reason = wait_for_cut(&mut cut) => End::Cut(reason),
    };
    task.abort();
    match end {
        End::Done => {}
        End::Undecided(undecided) => record.undecided_rest(&undecided),
        End::OutOfTime => record.undecided_rest(
            &Undecided::unknown(format!("out of time after {} s", time.as_secs_f32()))
                .advice("give it more time with `--timeout`, or ask again"),
        ),
        End::Panicked(text) => record.undecided_rest(
            &Undecided::unknown(format!("the check panicked: {}", redact(&text)))
                .advice("this is a defect of Preflight or of the plugin: please report it"),
        ),
        End::Cut(Cut::Signal(why)) => {
            record.undecided_rest(
                &Undecided::unknown(format!("the run was cut short: {why}")).advice("run it again"),
            );
        }
        End::Cut(Cut::FailFast(why)) => record.set_aside_rest(&why),
    }
    record.seal(&|rule| shared.environment.accepts_unknown(rule), start.elapsed())
}

enum End {
    Done,
    Undecided(Undecided),
    OutOfTime,
    Panicked(String),
    Cut(Cut),
}

async fn wait_for_cut(cut: &mut watch::Receiver<Option<Cut>>) -> Cut {
    let reason = cut.wait_for(Option::is_some).await.map(|cut| cut.clone());
    match reason {
        Ok(cut) => cut.unwrap_or_else(|| Cut::Signal("stopped".to_owned())),
        // The run was dropped; the task goes with it.
        Err(_) => std::future::pending().await,
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "no message".to_owned()),
        Err(_) => "its task was cancelled".to_owned(),
    }
}
