//! Do the manifests say what they mean?

use preflight_core::cluster::Read;
use preflight_core::manifests::Object;
use preflight_core::{
    CheckResult, Context, Descriptor, Examination, FieldPath, Method, Phase, Plugin, Remediation, Subject,
    Undecided, async_trait, rules,
};

rules! { plugin "manifests";
    /// An object is written twice.
    ///
    /// `kubectl apply` applies both, one after the other, and the last one stays: if they differ, the first one's
    /// settings are lost, and each apply changes the object twice. `kubectl create` and Helm refuse the second one.
    /// Keep one.
    DUPLICATE_OBJECT = "duplicate-object", wont_land;
    /// An object names another namespace than the one that was asked for.
    ///
    /// `kubectl -n NAMESPACE` refuses objects whose `metadata.namespace` is another one, before it sends anything.
    /// Leave the namespace out of the manifest, or apply the object with its own namespace.
    NAMESPACE_MISMATCH = "namespace-mismatch", wont_land;
    /// A variable or template was not replaced.
    ///
    /// The field holds `${NAME}`, `{{ … }}` or `<no value>`: what should have rendered the manifest did not run, or
    /// ran without that value. The API server refuses such names and numbers; images with such a reference are
    /// accepted and never start. Contents of ConfigMaps and Secrets, commands, arguments and values of environment
    /// variables are left alone: there it may be meant.
    UNRESOLVED_VARIABLE = "unresolved-variable", wont_land;
    /// An object has no name of its own, and `kubectl apply` needs one.
    ///
    /// With `generateName` the API server makes up a name for each new object, so there is nothing that an apply
    /// could update: kubectl refuses it. Give the object a name, or apply the release with `kubectl create`
    /// (`apply: create` in the environment).
    GENERATED_NAME = "generated-name", wont_land;
}

/// Do the manifests say what they mean?
#[derive(Debug, Clone, Copy)]
pub struct ManifestsPlugin;

#[async_trait]
impl Plugin for ManifestsPlugin {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("manifests", Phase::Infrastructure, RULES)
            .summary("The manifests say what they mean: no duplicates, contradictions or variables left over")
            .reads(Read::dynamic("whether the release's kinds have namespaces"))
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let method = context.environment().apply().method;
        duplicates(&check, context, method);
        namespaces(&check, context, method).await;
        variables(&check, context);
        generated_names(&check, context, method);
        Ok(check.finish())
    }
}

fn duplicates(check: &Examination, context: &Context, method: Method) {
    let mut rule = check.rule(&DUPLICATE_OBJECT);
    rule.examined_many(context.manifests().objects().len());
    for (later, first) in context.manifests().duplicates() {
        let at = first.place_of_name();
        let remedy = Remediation::new(format!("Keep one of the two; the first one is at {at}"));
        let same = later.json() == first.json();
        let message = match same {
            true => format!("{} is written twice", later.id()),
            false => format!("{} is written twice, and the two differ", later.id()),
        };
        match method {
            Method::Create | Method::Helm => rule.predict(Subject::object(later), message, remedy),
            _ => rule.warn(Subject::object(later), message, remedy),
        }
    }
    rule.conclude("objects");
}

async fn namespaces(check: &Examination, context: &Context, method: Method) {
    let mut rule = check.rule(&NAMESPACE_MISMATCH);
    // Helm and Argo CD take the namespace that is asked for as the default, and leave others alone.
    let refuses = matches!(method, Method::Client | Method::Server | Method::Create);
    let Some(asked) = context.requested_namespace().filter(|_| refuses) else {
        return rule.conclude("namespace that kubectl is asked for");
    };
    // Whether a kind has namespaces at all, the cluster says. Without it nothing can be applied anyway.
    let release = context.release().await;
    let cluster_wide = |object: &Object| {
        let objects = release.as_ref().map(|release| release.objects()).unwrap_or_default();
        let planned = objects.iter().find(|planned| std::ptr::eq(&*planned.object, object));
        planned.and_then(|planned| planned.serving.resource()).is_some_and(|resource| !resource.namespaced)
    };
    for object in context.manifests().objects() {
        rule.examined();
        let Some(own) = object.namespace().filter(|own| *own != asked && !cluster_wide(object)) else {
            continue;
        };
        rule.predict(
            Subject::at(object, &FieldPath::of("metadata.namespace")),
            format!("{} is in namespace {own}, and {asked} is asked for", object.id()),
            Remediation::new(format!("Leave out the namespace, or apply it with `-n {own}`"))
                .command(format!("kubectl get namespace {own} {asked}")),
        );
    }
    rule.conclude("objects");
}

fn variables(check: &Examination, context: &Context) {
    let mut rule = check.rule(&UNRESOLVED_VARIABLE);
    for object in context.manifests().objects() {
        rule.examined();
        for left in object.unresolved() {
            rule.predict(
                Subject::at(object, &left.path),
                format!("{} was not replaced in {} of {}", left.text, left.path, object.id()),
                render(object, &left.text),
            );
        }
    }
    rule.conclude("objects");
}

fn render(object: &Object, text: &str) -> Remediation {
    let file = object.place_of_name().file;
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => {
            Remediation::new(format!("Set {name} where the manifests are rendered, and render them again"))
                .command(format!("{name}=… envsubst < {file} | preflight -f -"))
        }
        None => Remediation::new("Render the template with every value that it uses")
            .command("helm template RELEASE CHART | preflight -f -"),
    }
}

fn generated_names(check: &Examination, context: &Context, method: Method) {
    let mut rule = check.rule(&GENERATED_NAME);
    let refuses = matches!(method, Method::Client | Method::Server);
    for object in context.manifests().objects().iter().filter(|object| object.name().is_none()) {
        rule.examined();
        if refuses {
            rule.predict(
                Subject::at(object, &FieldPath::of("metadata.generateName")),
                format!("{} has a generated name, which `kubectl apply` refuses", object.id()),
                Remediation::new("Give it a name, or create it instead of applying it")
                    .command(format!("kubectl create -f {}", object.place_of_name().file)),
            );
        }
    }
    rule.conclude("objects with generated names");
}
