//! `preflight snapshot`.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use preflight_core::snapshot::Recorder;

use crate::args::Snapshot;
use crate::inputs::put_together;
use crate::problem::Problem;
use crate::run::stop_on_signal;

/// Runs the checks once and keeps what the cluster answered to them.
pub(crate) async fn record(arguments: &Snapshot, out: &mut impl Write) -> Result<u8, Problem> {
    let Ok([(preflight, cluster)]) = <[_; 1]>::try_from(put_together(&arguments.inputs, None)?) else {
        return Err(Problem::input("a snapshot is of one cluster").help("name one context"));
    };
    let recorder = Recorder::new();
    let run = preflight.recorder(recorder.clone()).start()?;
    let signals = tokio::spawn(stop_on_signal(vec![run.stopper()]));
    let report = run.finish().await;
    signals.abort();
    if report.facts.cluster.version.is_none() {
        return Err(Problem::internal(format!("nothing was recorded: {}", report.verdict.headline))
            .help("kubectl cluster-info"));
    }
    let at = report.facts.started_at.as_str();
    match &arguments.output {
        Some(path) => {
            let file = File::create(path)
                .map_err(|error| Problem::input(format!("cannot write {}: {error}", path.display())))?;
            let mut file = BufWriter::new(file);
            recorder.write(&cluster, at, &mut file)?;
            file.flush()?;
        }
        None => recorder.write(&cluster, at, out)?,
    }
    let _ = writeln!(io::stderr(), "recorded with the verdict {}", report.verdict.headline);
    Ok(0)
}
