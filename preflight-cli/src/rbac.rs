//! `preflight rbac`: the least that the checks need, from what they declare that they read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use preflight_core::Manifests;
use preflight_core::cluster::ReadOf;

use crate::args::Rbac;
use crate::catalogue::descriptors;
use crate::inputs::manifests;
use crate::problem::Problem;

/// API groups and plurals to verbs.
type Rules = BTreeMap<(String, String), BTreeSet<&'static str>>;

pub(crate) fn print(options: &Rbac, out: &mut impl Write) -> Result<u8, Problem> {
    let wanted: Vec<String> = options.checks.iter().map(|name| name.replace('_', "-")).collect();
    let all = descriptors();
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|check| check.name() == name.as_str())) {
        return Err(Problem::input(format!("there is no check named `{unknown}`")).help("preflight list"));
    }
    let mut rules = Rules::new();
    let (mut paths, mut dynamic) = (BTreeSet::from(["/version", "/api", "/apis"]), None);
    let mut secrets = false;
    for read in all
        .iter()
        .filter(|check| wanted.is_empty() || wanted.iter().any(|name| name == check.name()))
        .flat_map(|check| check.all_reads())
    {
        match read.of() {
            ReadOf::Resource(resource) => add(&mut rules, &resource.group, &resource.plural, read.verb()),
            ReadOf::Dynamic { why } => dynamic = Some(*why),
            ReadOf::SecretContents { .. } => secrets = true,
            ReadOf::Path(path) => {
                paths.insert(path);
            }
            ReadOf::Schemas => {
                paths.insert("/openapi/v3");
            }
            ReadOf::AccessReviews => {
                add(&mut rules, "authentication.k8s.io", "selfsubjectreviews", "create");
                add(&mut rules, "authorization.k8s.io", "selfsubjectaccessreviews", "create");
                if options.deployer {
                    add(&mut rules, "authorization.k8s.io", "subjectaccessreviews", "create");
                }
            }
            _ => {}
        }
    }
    let mut note = String::new();
    if let Some(why) = dynamic {
        let release = manifests(&options.filename)?;
        for object in release.objects() {
            add(&mut rules, object.group(), &plural(object.kind()), "get");
        }
        if release.is_empty() {
            note = format!(
                "# Beyond this the checks get, by name, {why}: name the manifests with -f to have\n# their kinds listed. Of Secrets only the metadata is read.\n"
            );
        }
    }
    write(out, &options.name, &note, &rules, &paths)?;
    if secrets {
        let release = manifests(&options.filename)?;
        let names: Vec<_> = secrets_of(&release, options.pull_secrets).into_iter().collect();
        if !names.is_empty() {
            writeln!(
                out,
                "- apiGroups: [\"\"]\n  resources: [\"secrets\"]\n  resourceNames: [\"{}\"]\n  verbs: [\"get\"]",
                names.join("\", \"")
            )?;
        }
    }
    Ok(0)
}

/// The names of the Secrets that the manifests name; with those that pods pull with, if they are wanted.
fn secrets_of(release: &Manifests, with_pulls: bool) -> BTreeSet<String> {
    let references = release.objects().iter().flat_map(|object| object.references());
    let named = references.filter(|named| {
        named.kind == "Secret" && (with_pulls || !named.path.to_string().contains("imagePullSecrets["))
    });
    named.map(|named| named.name).collect()
}

fn add(rules: &mut Rules, group: &str, plural: &str, verb: &'static str) {
    rules.entry((group.to_owned(), plural.to_owned())).or_default().insert(verb);
}

/// As Kubernetes itself guesses plurals (`UnsafeGuessKindToResource`, `pkg/api/meta/restmapper.go`, v1.36).
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.chars().last() {
        _ if lower == "endpoints" => lower,
        Some('s') => format!("{lower}es"),
        Some('y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}

fn write(
    out: &mut impl Write,
    name: &str,
    note: &str,
    rules: &Rules,
    paths: &BTreeSet<&str>,
) -> std::io::Result<()> {
    write!(out, "# What the checks read, and nothing else: made by `preflight rbac`.\n{note}")?;
    writeln!(
        out,
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {name}\nrules:"
    )?;
    for ((group, plural), verbs) in rules {
        let verbs: Vec<_> = verbs.iter().copied().collect();
        writeln!(
            out,
            "- apiGroups: [\"{group}\"]\n  resources: [\"{plural}\"]\n  verbs: [\"{}\"]",
            verbs.join("\", \"")
        )?;
    }
    let mut all: Vec<String> = Vec::new();
    for path in paths {
        all.push(format!("\"{path}\""));
        if path.starts_with("/api") || path.starts_with("/openapi") {
            all.push(format!("\"{path}/*\""));
        }
    }
    writeln!(out, "- nonResourceURLs: [{}]\n  verbs: [\"get\"]", all.join(", "))
}
