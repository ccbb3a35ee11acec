//! Preflight in a deploy tool: nothing is applied without a clearance.
//!
//!     cargo run --example embed -- deploy/

use preflight_core::cluster::AccessOptions;
use preflight_core::reporter::{Format, Style};
use preflight_core::{Clearance, Cluster, Environments, Manifests, Preflight};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a file or folder of manifests")?;
    let environment = Environments::parse("built in", "environments: {ci: {apply: server}}")?.get("ci")?;
    let mut run = Preflight::new(Cluster::resolve(&AccessOptions::default())?)
        .environment(environment)
        .manifests(Manifests::from_path(path)?)
        .plugins(preflight_plugins::builtin())
        .start()?;
    match run.blocking().await.gate() {
        Ok(clearance) => deploy(&clearance),
        Err(refusal) => eprintln!("not deployed: {refusal}"),
    }
    let report = run.finish().await;
    Format::Terminal.write(&report, Style::default(), &mut std::io::stdout())?;
    Ok(())
}

/// Whatever applies the manifests. It checks that they are the ones that were looked at.
fn deploy(clearance: &Clearance) {
    println!("applying {} until {}", clearance.inputs_digest(), clearance.expires_at());
}
