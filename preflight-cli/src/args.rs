//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use preflight_core::reporter::Format;

/// Will this release land on this cluster, now? GO, NO-GO or UNKNOWN, before anything is applied.
///
/// Exit codes: 0 go, 2 bad input, 3 no-go, 4 go with warnings (with --fail-on warning), 5 unknown, 1 preflight
/// itself failed.
#[derive(Debug, Parser)]
#[command(name = "preflight", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub(crate) struct Preflight {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
    /// Log what is asked (-v, -vv); never contents
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check the manifests against the cluster (the default)
    Run(Run),
    /// Show the checks, or with --rules every rule
    List(List),
    /// Show what a rule or check is about, and what to do
    Explain {
        /// A rule (`cluster-connectivity/namespace-missing`) or a check
        name: String,
    },
    /// Record the cluster's state in one file, for --snapshot
    Snapshot(Snapshot),
    /// Print the least-privilege ClusterRole that the checks need
    Rbac(Rbac),
    /// Print a JSON Schema
    Schema {
        /// Of what
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What is checked, and against what.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Inputs {
    /// Manifests: a file, a folder, or - for standard input; may be given several times
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) filename: Vec<PathBuf>,
    /// The environment, from environments.yaml
    #[arg(short, long, value_name = "NAME", env = "PREFLIGHT_ENVIRONMENT")]
    pub(crate) environment: Option<String>,
    /// The file of environments [default: environments.yaml here or beside the manifests]
    #[arg(long, value_name = "FILE", env = "PREFLIGHT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The kubeconfig's context; may be given several times, for several clusters
    #[arg(long, value_name = "NAME", env = "PREFLIGHT_CONTEXT")]
    pub(crate) context: Vec<String>,
    /// The kubeconfig [default: $KUBECONFIG, then ~/.kube/config, then the pod's own ServiceAccount]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAME", env = "PREFLIGHT_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Ask as this user
    #[arg(long = "as", value_name = "USER")]
    pub(crate) impersonate: Option<String>,
    /// Ask as a member of this group; may be given several times
    #[arg(long = "as-group", value_name = "GROUP", requires = "impersonate")]
    pub(crate) impersonate_groups: Vec<String>,
    /// Run only this check; may be given several times
    #[arg(long = "check", value_name = "NAME")]
    pub(crate) checks: Vec<String>,
    /// Set this check aside; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) skip: Vec<String>,
    /// The most time that the run may take, for example 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Ask this snapshot instead of a cluster
    #[arg(long, value_name = "FILE", env = "PREFLIGHT_SNAPSHOT", conflicts_with_all = ["kubeconfig", "context", "impersonate"])]
    pub(crate) snapshot: Option<PathBuf>,
    /// Reach the cluster and nothing else; with --snapshot, nothing at all
    #[arg(long)]
    pub(crate) offline: bool,
    /// What to wait for: the phases that a deploy must wait for, or all
    #[arg(long, value_enum, value_name = "WHAT", default_value = "all")]
    pub(crate) wait: Wait,
    /// Stop at the first check that fails
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Exit with 0 whatever the verdict, unless the input is bad
    #[arg(long)]
    pub(crate) report_only: bool,
    /// Exit with 4 if the verdict is go with warnings
    #[arg(long, value_enum, value_name = "WEIGHT")]
    pub(crate) fail_on: Option<FailOn>,
    /// How to report: terminal, short, json, yaml; to a file with FORMAT=FILE; may be given several times
    #[arg(short, long, value_name = "FORMAT[=FILE]", value_parser = output)]
    pub(crate) output: Vec<Output>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Only the blocking phases; the others are set aside
    Blocking,
    /// Every phase
    #[default]
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Warnings too
    Warning,
}

#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Show every rule
    #[arg(long)]
    pub(crate) rules: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rbac {
    /// Manifests whose kinds are to be read; without them the kinds of releases cannot be known
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) filename: Vec<PathBuf>,
    /// For this check only; may be given several times
    #[arg(long = "check", value_name = "NAME")]
    pub(crate) checks: Vec<String>,
    /// Also what asking about another deployer takes
    #[arg(long)]
    pub(crate) deployer: bool,
    /// Also reading the pull secrets that the manifests name (`images.read_pull_secrets` in the environment)
    #[arg(long, requires = "filename")]
    pub(crate) pull_secrets: bool,
    /// Name of the ClusterRole
    #[arg(long, default_value = "preflight")]
    pub(crate) name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// environments.yaml
    Environments,
    /// The report of `-o json`
    Report,
}

/// A format, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) file: Option<PathBuf>,
}

fn output(text: &str) -> Result<Output, String> {
    let (format, file) = text.split_once('=').map_or((text, None), |(format, file)| (format, Some(file)));
    if file == Some("") {
        return Err(format!("`{text}` names no file: write {format}=FILE"));
    }
    Ok(Output { format: format.parse()?, file: file.map(PathBuf::from) })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is not a time: write it as 90s or 5m"))?;
    let duration = Duration::try_from(parsed).map_err(|_| format!("`{text}` is less than nothing"))?;
    if duration.is_zero() {
        return Err("no time at all is left for the checks".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Preflight::command().debug_assert();
    }

    #[test]
    fn times_and_outputs_are_read_or_refused() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("soon").is_err() && duration("0s").is_err());
        assert!(output("json=a.json").is_ok_and(|output| output.file.is_some()));
        assert!(output("xml").is_err() && output("json=").is_err());
    }
}
