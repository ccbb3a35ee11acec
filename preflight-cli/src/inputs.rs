//! From arguments to what a run is made of.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use preflight_core::cluster::AccessOptions;
use preflight_core::snapshot::Snapshot;
use preflight_core::{Cluster, Environment, Environments, Manifests, Preflight};

use crate::args::Inputs;
use crate::problem::Problem;

/// The runs that the arguments ask for, one for each cluster, with their clusters.
pub(crate) fn put_together(
    inputs: &Inputs,
    snapshot: Option<&Path>,
) -> Result<Vec<(Preflight, Cluster)>, Problem> {
    let environment = environment(inputs)?;
    let manifests = manifests(&inputs.filename)?;
    let contexts: Vec<Option<&str>> = match inputs.context.as_slice() {
        [] => vec![environment.cluster_context()],
        named => named.iter().map(|name| Some(name.as_str())).collect(),
    };
    let one = |context: Option<&str>| one(inputs, snapshot, context, &environment, &manifests);
    contexts.into_iter().map(one).collect()
}

fn one(
    inputs: &Inputs,
    snapshot: Option<&Path>,
    context: Option<&str>,
    environment: &Environment,
    manifests: &Manifests,
) -> Result<(Preflight, Cluster), Problem> {
    let cluster = match snapshot {
        Some(path) => Cluster::from_snapshot(Snapshot::from_path(path)?),
        None => Cluster::resolve(&access(inputs, context))?,
    };
    let mut preflight = Preflight::new(cluster.clone())
        .environment(environment.clone())
        .manifests(manifests.clone())
        .plugins(preflight_plugins::builtin())
        .known_settings(preflight_plugins::known_settings())
        .only(inputs.checks.clone())
        .skip(inputs.skip.clone());
    if let Some(namespace) = &inputs.namespace {
        preflight = preflight.namespace(namespace);
    }
    if let Some(timeout) = inputs.timeout {
        preflight = preflight.timeout(timeout);
    }
    Ok((preflight, cluster))
}

fn access(inputs: &Inputs, context: Option<&str>) -> AccessOptions {
    AccessOptions {
        kubeconfig: inputs.kubeconfig.clone(),
        context: context.map(str::to_owned),
        impersonate_user: inputs.impersonate.clone(),
        impersonate_groups: inputs.impersonate_groups.clone(),
        ..AccessOptions::default()
    }
}

pub(crate) fn manifests(paths: &[PathBuf]) -> Result<Manifests, Problem> {
    let waits = |path: &PathBuf| path.as_os_str() == "-" && std::io::stdin().is_terminal();
    if paths.iter().any(waits) {
        return Err(Problem::input("manifests are to come from standard input, which is this terminal")
            .help("pipe them into it: helm template … | preflight -f -"));
    }
    Ok(if paths.is_empty() { Manifests::empty() } else { Manifests::from_paths(paths)? })
}

fn environment(inputs: &Inputs) -> Result<Environment, Problem> {
    let Some(name) = &inputs.environment else {
        if inputs.config.is_some() {
            return Err(Problem::input("--config is given, but no environment")
                .help("name one with --environment, or leave out --config"));
        }
        return Ok(Environment::default());
    };
    let path = match &inputs.config {
        Some(path) => path.clone(),
        None => find_config(&inputs.filename).ok_or_else(|| {
            Problem::input(format!(
                "the environment `{name}` is asked for, but there is no environments.yaml"
            ))
            .help("name the file with --config; it is looked for here and beside the manifests")
        })?,
    };
    Ok(Environments::from_path(path)?.get(name)?)
}

/// `environments.yaml` here, or beside the manifests.
fn find_config(manifests: &[PathBuf]) -> Option<PathBuf> {
    let beside = manifests.iter().filter_map(|path| path.parent().map(Path::to_owned));
    std::iter::once(PathBuf::new())
        .chain(beside)
        .map(|folder| folder.join("environments.yaml"))
        .find(|path| path.is_file())
}
