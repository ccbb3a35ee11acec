//! Variables and template braces that nothing replaced.

use super::object::Object;
use crate::yaml::{FieldPath, Node, Place, Value};

/// A variable or template that nothing replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unresolved {
    /// The field.
    pub path: FieldPath,
    /// Where it is written.
    pub place: Place,
    /// The text that should have been replaced: `${TAG}`, `{{ .Values.tag }}`.
    pub text: String,
}

/// Keys below which such text is somebody's content: of ConfigMaps and Secrets, commands, values of environment
/// variables, annotations, and what CustomResourceDefinitions and policies hold of prose and expressions.
const CONTENT: &[&str] = &[
    "data",
    "stringData",
    "binaryData",
    "annotations",
    "command",
    "args",
    "value",
    "description",
    "expression",
    "message",
    "messageExpression",
    "rule",
    "default",
    "example",
    "pattern",
];

impl Object {
    /// Variables and template braces that nothing replaced, where they can only be a mistake. Objects of other
    /// groups than Kubernetes' own may hold such text anywhere in `spec`: there, only the metadata is looked at.
    #[must_use]
    pub fn unresolved(&self) -> Vec<Unresolved> {
        let mut found = Vec::new();
        let own = self.group().contains('.') && !self.group().ends_with(".k8s.io");
        for (key, node) in self.root().entries() {
            if own && key.name != "metadata" {
                continue;
            }
            self.search(node, FieldPath::root().key(&key.name), &key.name, &mut found);
        }
        found
    }

    fn search(&self, node: &Node, path: FieldPath, key: &str, found: &mut Vec<Unresolved>) {
        if CONTENT.contains(&key) {
            return;
        }
        match &node.value {
            Value::Str(text) => {
                if let Some(text) = variable(text) {
                    found.push(Unresolved { place: self.place(&path), path, text: text.to_owned() });
                }
            }
            Value::Seq(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.search(item, path.clone().index(at), "", found);
                }
            }
            Value::Map(entries) => {
                for (key, node) in entries {
                    self.search(node, path.clone().key(&key.name), &key.name, found);
                }
            }
            _ => {}
        }
    }
}

/// `${VAR}`, `{{ … }}` or `<no value>`. `$(VAR)` is Kubernetes' own and stays.
fn variable(text: &str) -> Option<&str> {
    for (open, close) in [("${", "}"), ("{{", "}}")] {
        if let Some(start) = text.find(open)
            && let Some(length) = text[start..].find(close)
        {
            return Some(&text[start..start + length + close.len()]);
        }
    }
    let start = text.find("<no value>")?;
    Some(&text[start..start + "<no value>".len()])
}

#[cfg(test)]
mod tests {
    use crate::manifests::Manifests;

    fn found(text: &str) -> Vec<(String, String)> {
        let manifests = Manifests::parse("a.yaml", text).unwrap();
        manifests.objects()[0].unresolved().into_iter().map(|u| (u.path.to_string(), u.text)).collect()
    }

    #[test]
    fn variables_in_fields_are_told_and_in_contents_are_not() {
        let pod = |image: &str, args: &str| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: c, image: '{image}', args: ['{args}']}}]}}}}"
            )
        };
        assert_eq!(found(&pod("r/a:${TAG}", "x")), [("spec.containers[0].image".into(), "${TAG}".into())]);
        assert_eq!(found(&pod("{{ .Values.image }}", "x")).len(), 1);
        assert_eq!(found(&pod("<no value>", "x")).len(), 1);
        assert_eq!(found(&pod("r/a:1", "${HOME}")), []);
        assert_eq!(
            found("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: '${HOME} {{ x }}'}}"),
            []
        );
        assert_eq!(
            found(
                "{apiVersion: argoproj.io/v1, kind: Workflow, metadata: {name: a}, spec: {x: '{{inputs.x}}'}}"
            ),
            []
        );
        assert_eq!(found("{apiVersion: argoproj.io/v1, kind: Workflow, metadata: {name: '${X}'}}").len(), 1);
    }
}
