//! Environments: what is known of the cluster and wanted of the release, from `environments.yaml`.

mod model;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

pub use model::{Apply, Expected, Method, OnUnknown};
use model::{DeployerEntry, ENTRY_KEYS, Entry};
pub(crate) use settings::SettingsMap;
pub use settings::{Settings, SettingsProblem, SettingsSpec};

use crate::InputError;
use crate::cluster::Identity;
use crate::report::SetAside;
use crate::yaml::{FieldPath, Key, Located, Node, Place, Source, Value, parse_documents, text_of};

/// The environments of a file.
#[derive(Debug, Clone)]
pub struct Environments {
    source: Arc<Source>,
    entries: Vec<(Key, Node)>,
}

impl Environments {
    /// Reads `environments.yaml`.
    ///
    /// # Errors
    /// It cannot be read, is not YAML, or holds other keys than `environments`.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, InputError> {
        let name = path.as_ref().display().to_string();
        let bytes = std::fs::read(path.as_ref()).map_err(|error| {
            InputError::new(format!("cannot read {name}: {error}"))
                .help("give the file with `--config`, or leave out `--environment`")
        })?;
        let text = text_of(&name, bytes)?;
        Self::parse(&name, &text)
    }

    /// Reads the text of an `environments.yaml`.
    ///
    /// # Errors
    /// As [`Self::from_path`].
    pub fn parse(name: &str, text: &str) -> Result<Self, InputError> {
        let source = Source::new(name, text);
        let mut documents = parse_documents(&source)?;
        if documents.len() != 1 {
            return Err(InputError::new(format!(
                "{name} holds {} documents instead of one",
                documents.len()
            ))
            .help("it has one key, `environments`, with an entry for each environment"));
        }
        let root = documents.remove(0);
        for (key, node) in root.entries() {
            if key.name != "environments" {
                return Err(unknown_key(&source, key, &["environments"]));
            }
            if !matches!(node.value, Value::Map(_)) {
                return Err(InputError::new(format!("`environments` is {}, not a mapping", node.describe()))
                    .at(source.place(key.span, true)));
            }
        }
        let entries = root.get("environments").map(Node::entries).unwrap_or_default().to_vec();
        if entries.is_empty() {
            return Err(InputError::new(format!("{name} has no environments"))
                .help("it has one key, `environments`, with an entry for each environment"));
        }
        Ok(Self { source, entries })
    }

    /// The names of the environments, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.name.as_str())
    }

    /// The entry of that name.
    ///
    /// # Errors
    /// There is none (the message names those there are), or it does not fit.
    pub fn get(&self, name: &str) -> Result<Environment, InputError> {
        let Some((key, node)) = self.entries.iter().find(|(key, _)| key.name == name) else {
            let names: Vec<_> = self.names().collect();
            let error = InputError::new(format!("{} has no environment `{name}`", self.source.name()));
            return Err(match nearest(name, names.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`? There are: {}", names.join(", "))),
                None => error.help(format!("there are: {}", names.join(", "))),
            });
        };
        Environment::read(name, key, node, &self.source)
    }
}

/// One entry of `environments.yaml`.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    name: Option<String>,
    entry: Entry,
    sections: Vec<(Key, Node)>,
    on_unknown: BTreeMap<String, (OnUnknown, Place)>,
    source: Option<Arc<Source>>,
}

impl Environment {
    fn read(name: &str, key: &Key, node: &Node, source: &Arc<Source>) -> Result<Self, InputError> {
        let (mut own, mut sections) = (Vec::new(), Vec::new());
        match &node.value {
            Value::Map(entries) => {
                for (key, node) in entries {
                    let into = if ENTRY_KEYS.contains(&key.name.as_str()) { &mut own } else { &mut sections };
                    into.push((key.clone(), node.clone()));
                }
            }
            Value::Null => {}
            _ => {
                return Err(InputError::new(format!(
                    "the environment `{name}` is {}, not a mapping",
                    node.describe()
                ))
                .at(source.place(key.span, true)));
            }
        }
        let own = Node { value: Value::Map(own), span: node.span };
        let entry = Entry::deserialize(&own).map_err(|error| located(source, &own, error))?;
        if entry.apply.0.prune.is_some() && !matches!(entry.apply.0.method, Method::Client | Method::Server) {
            let (span, exact) = own.locate(&FieldPath::of("apply.prune"));
            return Err(InputError::new("`prune` goes with the methods `client` and `server`")
                .at(source.place(span, exact))
                .help("what other methods delete is not looked at yet"));
        }
        let mut on_unknown = BTreeMap::new();
        for (rule, what) in &entry.on_unknown {
            let path = FieldPath::root().key("on_unknown").key(rule.clone());
            let place = source.place(own.locate(&path).0, true);
            let Some((plugin, id)) = rule.split_once('/') else {
                return Err(InputError::new(format!("`on_unknown`: `{rule}` is not the id of a rule"))
                    .at(place)
                    .help("ids are written `check/rule`; `preflight list --rules` shows them all"));
            };
            on_unknown
                .insert(format!("{}/{}", plugin.replace('_', "-"), id.replace('_', "-")), (*what, place));
        }
        Ok(Self {
            name: Some(name.to_owned()),
            entry,
            sections,
            on_unknown,
            source: Some(Arc::clone(source)),
        })
    }

    /// Its name; `None` where no file was read.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A path that it names: relative ones are relative to the folder of its file.
    #[must_use]
    pub fn path(&self, named: &str) -> PathBuf {
        let folder = self.source.as_ref().and_then(|source| Path::new(source.name()).parent());
        folder.map_or_else(|| PathBuf::from(named), |folder| folder.join(named))
    }

    /// The kubeconfig's context that it means.
    #[must_use]
    pub fn cluster_context(&self) -> Option<&str> {
        self.entry.cluster_context.as_deref()
    }

    /// The namespace of objects that name none.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.entry.namespace.as_deref()
    }

    /// UID of the `kube-system` namespace of the cluster that it means.
    #[must_use]
    pub fn cluster_uid(&self) -> Option<&str> {
        self.entry.cluster_uid.as_deref()
    }

    /// How the manifests will be applied.
    #[must_use]
    pub const fn apply(&self) -> &Apply {
        &self.entry.apply.0
    }

    /// The identity that will apply them, where it is not one's own.
    #[must_use]
    pub fn deployer(&self) -> Option<Identity> {
        match self.entry.deployer.clone()? {
            DeployerEntry::Name(user) => Some(Identity::new(user, [])),
            DeployerEntry::Full { user, groups } => Some(Identity::new(user, groups)),
        }
    }

    /// Objects that something else will have made by the time the release needs them.
    #[must_use]
    pub fn expects(&self) -> &[Expected] {
        &self.entry.expects
    }

    /// Checks without which a verdict is not a whole one.
    #[must_use]
    pub fn required_checks(&self) -> Vec<String> {
        self.entry.governance.required_checks.iter().map(|name| name.replace('_', "-")).collect()
    }

    /// Whether not knowing that rule is accepted.
    #[must_use]
    pub fn accepts_unknown(&self, rule: &str) -> bool {
        self.on_unknown.get(rule).is_some_and(|(what, _)| *what == OnUnknown::Warn)
    }

    pub(crate) fn rules_accepted_unknown(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.on_unknown.iter().map(|(rule, (_, place))| (rule.as_str(), place))
    }

    /// Digest of what it says: `sha256:…`.
    pub(crate) fn digest(&self) -> String {
        let sections: serde_json::Map<_, _> =
            self.sections.iter().map(|(key, node)| (key.name.clone(), node.json())).collect();
        let text = json!([self.name, self.entry, sections]).to_string();
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the plugins' sections. A section or key that nobody claims is refused.
    pub(crate) fn read_settings(&self, specs: &[SettingsSpec]) -> Result<SettingsMap, InputError> {
        let mut settings = SettingsMap::new();
        for spec in specs {
            let section = self.sections.iter().find(|(key, _)| key.name == spec.section());
            let (value, source) = (section.map(|(_, node)| node), self.source.as_ref());
            let read = spec.read(value).map_err(|error| match (source, value) {
                (Some(source), Some(node)) => located(source, node, error),
                _ => InputError::new(error.message),
            })?;
            spec.validate(&read, self).map_err(|problem| self.located_problem(value, problem))?;
            settings.insert(spec.id(), read);
        }
        for (key, _) in &self.sections {
            if !specs.iter().any(|spec| spec.section() == key.name) {
                let known: Vec<_> =
                    ENTRY_KEYS.iter().copied().chain(specs.iter().map(SettingsSpec::section)).collect();
                let Some(source) = &self.source else { continue };
                return Err(unknown_key(source, key, &known));
            }
        }
        Ok(settings)
    }

    fn located_problem(&self, section: Option<&Node>, problem: SettingsProblem) -> InputError {
        let error = InputError::new(problem.message).help(problem.help);
        match (&self.source, section) {
            (Some(source), Some(section)) => {
                let (span, exact) = section.locate(&problem.path);
                error.at(source.place(span, exact))
            }
            _ => error,
        }
    }

    /// Sections that are known, but whose plugins do not take part in the run.
    pub(crate) fn unread_sections(&self, claimed: &[&str]) -> Vec<SetAside> {
        let unread = self.sections.iter().filter(|(key, _)| !claimed.contains(&key.name.as_str()));
        unread
            .map(|(key, _)| key.name.clone())
            .map(|name| SetAside::new(name, "no check of this run reads it"))
            .collect()
    }

    /// The JSON Schema of `environments.yaml`, with the sections of these settings.
    #[must_use]
    pub fn schema(specs: &[SettingsSpec]) -> Json {
        let mut entry = schemars::schema_for!(Entry).to_value();
        let definitions = entry.as_object_mut().and_then(|entry| entry.remove("$defs"));
        let mut definitions = definitions.unwrap_or_else(|| json!({}));
        for spec in specs {
            let mut section = spec.schema();
            if let Some(inner) = section.as_object_mut().and_then(|section| section.remove("$defs"))
                && let (Some(all), Json::Object(inner)) = (definitions.as_object_mut(), inner)
            {
                all.extend(inner);
            }
            if let Some(section) = section.as_object_mut() {
                section.remove("$schema");
            }
            entry["properties"][spec.section()] = section;
        }
        entry["additionalProperties"] = Json::Bool(false);
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("$schema");
        }
        definitions["Environment"] = entry;
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Environments",
            "description": "Environments of Preflight",
            "type": "object",
            "required": ["environments"],
            "additionalProperties": false,
            "properties": {
                "environments": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {"$ref": "#/$defs/Environment"},
                }
            },
            "$defs": definitions,
        })
    }
}

/// The candidate nearest to what was typed, where one is near enough to have been meant.
pub(crate) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, _)| *distance <= 2.max(typed.len() / 4))
        .min()
        .map(|(_, candidate)| candidate)
}

fn unknown_key(source: &Source, key: &Key, known: &[&str]) -> InputError {
    let error = InputError::new(format!("unknown key `{}`", key.name)).at(source.place(key.span, true));
    match nearest(&key.name, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("the keys are: {}", known.join(", "))),
    }
}

fn located(source: &Source, node: &Node, error: Located) -> InputError {
    let path = error.path();
    let span = error.span.unwrap_or_else(|| node.locate(&path).0);
    let path = path.to_string();
    let message = if path.is_empty() { error.message } else { format!("{path}: {}", error.message) };
    InputError::new(message).at(source.place(span, true)).maybe_help(error.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize, schemars::JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Thresholds {
        cpu_percent: Option<u8>,
    }

    impl Settings for Thresholds {
        const SECTION: &'static str = "resource_thresholds";
    }

    fn read(entry: &str) -> Result<Environment, InputError> {
        Environments::parse("environments.yaml", &format!("environments:\n  dev: {entry}\n"))?.get("dev")
    }

    fn told(error: &InputError) -> (String, Option<u32>, String) {
        (
            error.to_string(),
            error.place().map(|place| place.line),
            error.advice().unwrap_or_default().to_owned(),
        )
    }

    #[test]
    fn a_whole_entry_is_read() {
        let environment = read(
            "{cluster_context: c, cluster_uid: u, namespace: shop, apply: server, deployer: {user: jane, groups: [team]}, \
             on_unknown: {cluster_connectivity/not_ready: warn}, expects: [{kind: Namespace, name: a, by: operator}], \
             governance: {required_checks: [image_security]}, resource_thresholds: {cpu_percent: 70}}",
        )
        .unwrap();
        assert_eq!(environment.cluster_context(), Some("c"));
        assert_eq!(environment.apply().method, Method::Server);
        assert_eq!(environment.deployer().unwrap().groups, ["team", "system:authenticated"]);
        assert!(environment.accepts_unknown("cluster-connectivity/not-ready"));
        assert!(!environment.accepts_unknown("cluster-connectivity/unreachable"));
        assert_eq!(environment.required_checks(), ["image-security"]);
        let settings = environment.read_settings(&[SettingsSpec::of::<Thresholds>()]).unwrap();
        let thresholds = settings.values().next().unwrap().clone().downcast::<Thresholds>().unwrap();
        assert_eq!(thresholds.cpu_percent, Some(70));
    }

    #[test]
    fn apply_may_be_a_method_or_a_mapping() {
        assert_eq!(read("{apply: {method: helm, force: true}}").unwrap().apply().method, Method::Helm);
        assert_eq!(read("{}").unwrap().apply().method, Method::Client);
        let (message, line, help) = told(&read("{apply: servre}").unwrap_err());
        assert!(message.contains("`servre` is none of") && help.contains("`server`"), "{message} {help}");
        assert_eq!(line, Some(2));
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        let environment = read("{resource_treshold: {}}").unwrap();
        let error = environment.read_settings(&[SettingsSpec::of::<Thresholds>()]).err().unwrap();
        assert_eq!(
            told(&error),
            ("unknown key `resource_treshold`".into(), Some(2), "did you mean `resource_thresholds`?".into())
        );
        let environment = read("{resource_thresholds: {cpu_precent: 1}}").unwrap();
        let error = environment.read_settings(&[SettingsSpec::of::<Thresholds>()]).err().unwrap();
        assert_eq!(told(&error).2, "did you mean `cpu_percent`?");
        let error = Environments::parse("e.yaml", "enviroments: {}\n").unwrap_err();
        assert_eq!(told(&error).2, "did you mean `environments`?");
    }

    #[test]
    fn pruning_goes_with_kubectl_alone() {
        assert!(read("{apply: {prune: app=shop}}").is_ok());
        assert_eq!(
            read("{apply: {method: helm, prune: app=shop}}").unwrap_err().place().map(|p| p.line),
            Some(2)
        );
    }

    #[test]
    fn what_no_check_reads_is_set_aside() {
        let environment = read(
            "{apply: {method: server, force: true}, resource_thresholds: {}, expects: [{kind: Certificate, name: b}]}",
        )
        .unwrap();
        let names: Vec<_> = environment.unread_sections(&[]).into_iter().map(|aside| aside.name).collect();
        assert_eq!(names, ["resource_thresholds"]);
        assert_eq!(environment.unread_sections(&["resource_thresholds"]).len(), 0);
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        for entry in [
            "{namespace: 7}",
            "{on_unknown: {a: warn}}",
            "{on_unknown: {a/b: ignore}}",
            "{expects: [{kind: A}]}",
            "[a]",
        ] {
            let error = read(entry).unwrap_err();
            assert_eq!(error.place().map(|place| place.line), Some(2), "{entry}: {error}");
        }
    }

    #[test]
    fn an_unknown_environment_names_those_there_are() {
        let error = Environments::parse("e.yaml", "environments: {dev: {}, staging: {}}\n")
            .unwrap()
            .get("stagin")
            .unwrap_err();
        assert!(told(&error).2.contains("did you mean `staging`? There are: dev, staging"));
    }

    #[test]
    fn the_schema_holds_the_sections_and_refuses_others() {
        let schema = Environment::schema(&[SettingsSpec::of::<Thresholds>()]);
        let entry = &schema["$defs"]["Environment"];
        assert_eq!(entry["additionalProperties"], false);
        for key in ENTRY_KEYS.iter().chain(&["resource_thresholds"]) {
            assert!(!entry["properties"][*key].is_null(), "{key}");
        }
    }
}
