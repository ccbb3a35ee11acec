//! A pod as the checks look at it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Violation;

/// A pod, or a pod template, that is evaluated.
pub(super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) own: Holder<'a>,
    /// In the server's order (`policy/visitor.go`, v0.36.3).
    pub(super) containers: Vec<Holder<'a>>,
    pub(super) template: bool,
    /// The version of what is asked.
    pub(super) minor: u64,
}

impl<'a> Pod<'a> {
    pub(super) fn new(metadata: &'a Value, spec: &'a Value, template: bool, minor: u64) -> Self {
        let mut containers = Vec::new();
        for kind in [Kind::Init, Kind::Regular, Kind::Ephemeral] {
            for (index, value) in items(&spec[kind.list()]).iter().enumerate() {
                let path = format!("{}[{index}]", kind.list());
                containers.push(Holder { kind, name: text(&value["name"]), path, value });
            }
        }
        let own = Holder { kind: Kind::Pod, name: "", path: String::new(), value: spec };
        Self { metadata, own, containers, template, minor }
    }

    /// The pod, then its containers.
    pub(super) fn holders(&self) -> impl Iterator<Item = &Holder<'a>> {
        std::iter::once(&self.own).chain(&self.containers)
    }

    /// Its annotations.
    pub(super) fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let annotations = self.metadata["annotations"].as_object();
        let annotations = annotations.into_iter().flatten();
        annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// Whether something is not asked of it.
    pub(super) fn is(&self, except: Except) -> bool {
        match except {
            Except::None => false,
            Except::Windows => text(self.own.get("os.name")) == "windows",
            Except::UserNamespaces => self.own.is("hostUsers", false),
        }
    }
}

/// Who has fields that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pod,
    Init,
    Regular,
    Ephemeral,
}

impl Kind {
    /// The list below the pod's spec in which they are.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::Pod => "",
            Self::Init => "initContainers",
            Self::Regular => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// A pod's spec, or one of its containers.
pub(super) struct Holder<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// Where it is below the pod's spec.
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Holder<'a> {
    /// A field; null where there is none.
    pub(super) fn get(&self, field: &str) -> &'a Value {
        field.split('.').fold(self.value, |value, key| &value[key])
    }

    /// Whether a field is this, and not only by default.
    pub(super) fn is(&self, field: &str, wanted: bool) -> bool {
        self.get(field).as_bool() == Some(wanted)
    }

    /// The path of a field.
    pub(super) fn at(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// The path of a field that is there, or its own.
    pub(super) fn nearest(&self, field: &str) -> String {
        if self.get(field).is_null() { self.path.clone() } else { self.at(field) }
    }
}

/// What was found: who has it, what, and where.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) pod: bool,
    pub(super) containers: Vec<&'a str>,
    pub(super) values: BTreeSet<String>,
    pub(super) fields: Vec<String>,
}

impl<'a> Found<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds the values that a holder has, and where; it is not one who has something if there are none.
    pub(super) fn add(&mut self, holder: &Holder<'a>, found: impl IntoIterator<Item = (String, String)>) {
        let (values, fields): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.values.extend(values);
        self.note(holder, fields);
    }

    /// Adds where a holder has something; it is not one who has if that is nowhere.
    pub(super) fn note(&mut self, holder: &Holder<'a>, fields: Vec<String>) {
        if fields.is_empty() {
            return;
        }
        self.fields.extend(fields);
        match holder.kind {
            Kind::Pod => self.pod = true,
            _ => self.containers.push(holder.name),
        }
    }

    /// The containers by name.
    pub(super) fn who(&self) -> String {
        named("container", &self.containers)
    }

    /// The pod and the containers, as far as they have something.
    pub(super) fn setters(&self) -> Vec<String> {
        let pod = self.pod.then(|| "pod".to_owned());
        let containers = (!self.containers.is_empty()).then(|| self.who());
        pod.into_iter().chain(containers).collect()
    }

    /// The values, quoted.
    pub(super) fn values(&self) -> String {
        let values: Vec<_> = self.values.iter().map(String::as_str).collect();
        quoted(&values)
    }

    pub(super) fn violation(self, reason: &'static str, detail: String) -> Option<Violation> {
        violation(reason, detail, self.fields)
    }
}

/// Those who have a field that is not as it should be.
pub(super) fn find<'p, 'a: 'p>(
    holders: impl IntoIterator<Item = &'p Holder<'a>>,
    field: &str,
    wrong: impl Fn(&Value) -> bool,
) -> Found<'a> {
    let mut found = Found::default();
    for holder in holders {
        let value = holder.get(field);
        found.add(holder, wrong(value).then(|| (text(value).to_owned(), holder.nearest(field))));
    }
    found
}

/// A violation, if it is anywhere.
pub(super) fn violation(reason: &'static str, detail: String, fields: Vec<String>) -> Option<Violation> {
    (!fields.is_empty()).then_some(Violation { reason, detail, fields })
}

/// Pods of which something is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Except {
    None,
    /// Those that say that they are for Windows, where the fields may not be set.
    Windows,
    /// Those that have users of their own (`relaxPolicyForUserNamespacePod` of `policy/helpers.go`, v0.36.3).
    UserNamespaces,
}

/// `container "a"`, or `containers "a", "b"`.
pub(super) fn named(what: &str, names: &[&str]) -> String {
    format!("{} {}", plural(what, names.len()), quoted(names))
}

pub(super) fn quoted(items: &[&str]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("\"{item}\"")).collect();
    items.join(", ")
}

pub(super) fn plural(what: &str, count: usize) -> String {
    if count == 1 { what.to_owned() } else { format!("{what}s") }
}

pub(super) const fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
