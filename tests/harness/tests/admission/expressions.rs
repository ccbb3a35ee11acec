//! Random admission policies: expressions as people write them, over fields that are there, that are not, and that the
//! API server fills in.

use fastrand::Rng;
use serde_json::{Value, json};

/// Conditions of every object.
const OF_ALL: [&str; 40] = [
    "object.metadata.name.startsWith('o')",
    "object.metadata.name.matches('^o[0-9]*[02468]$')",
    "has(object.metadata.labels)",
    "has(object.metadata.annotations)",
    "has(object.metadata.annotations) && 'owner' in object.metadata.annotations",
    "object.metadata.annotations['owner'] == 'team-a'",
    "object.metadata.?annotations[?'owner'].orValue('') != ''",
    "object.metadata.labels.app == 'web'",
    "'tier' in object.metadata.labels",
    "has(object.metadata.labels.tier) && object.metadata.labels.tier in ['front', 'back']",
    "object.metadata.labels['example.com/team'] != 'c'",
    "object.metadata.labels.all(k, k.size() < 17)",
    "object.metadata.labels.exists(k, object.metadata.labels[k] == 'a')",
    "object.metadata.labels.all(k, v, v != '')",
    "size(object.metadata.labels) > 2",
    "object.kind == 'Pod' || object.kind.endsWith('Set')",
    "object.kind in ['Deployment', 'Service', 'ConfigMap', 'Job', 'Secret']",
    "object.apiVersion == 'v1'",
    "!has(object.metadata.generateName)",
    "!has(object.metadata.finalizers)",
    "has(object.metadata.uid)",
    "has(object.spec)",
    "has(object.status)",
    "request.operation == 'CREATE'",
    "request.namespace.startsWith('policies')",
    "request.name == object.metadata.name",
    "request.kind.kind == object.kind && request.resource.resource.size() > 4",
    "request.dryRun || !request.dryRun",
    "request.userInfo.username.startsWith('system:')",
    "'system:masters' in request.userInfo.groups",
    "oldObject == null",
    "oldObject != null && oldObject.metadata.name == object.metadata.name",
    "namespaceObject.metadata.name.startsWith('policies')",
    "namespaceObject.metadata.labels['stage'] == 'test'",
    "has(namespaceObject.metadata.labels) && 'stage' in namespaceObject.metadata.labels",
    "string(object.metadata.name.size()) == '2'",
    "type(object.metadata.name) == string",
    "object.metadata.name.split('o').size() == 2",
    "object.metadata.name.lowerAscii() == object.metadata.name",
    "object.metadata.name + '-x' != object.metadata.name",
];

/// Conditions of pods, with `POD` for where their `spec` is.
const OF_PODS: [&str; 44] = [
    "POD.containers.all(c, has(c.resources.limits))",
    "POD.containers.all(c, has(c.resources) && has(c.resources.requests) && 'cpu' in c.resources.requests)",
    "POD.containers.all(c, c.resources.requests.cpu != '1')",
    "POD.containers.all(c, !has(c.resources.limits) || quantity(c.resources.limits.memory).isLessThan(quantity('3Gi')))",
    "POD.containers.all(c, quantity(c.?resources.?requests[?'memory'].orValue('0')).compareTo(quantity('1Gi')) <= 0)",
    "POD.containers.all(c, c.image.startsWith('registry.example.com/'))",
    "POD.containers.all(c, !c.image.endsWith(':latest') && c.image.contains(':'))",
    "POD.containers.all(c, c.image.contains('@sha256:'))",
    "POD.containers.exists(c, c.name == 'side')",
    "POD.containers.exists_one(c, c.name == 'app')",
    "POD.containers.all(c, has(c.securityContext) && c.securityContext.runAsNonRoot)",
    "POD.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(false))",
    "POD.containers.all(c, c.securityContext.allowPrivilegeEscalation == false)",
    "POD.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || !c.securityContext.privileged)",
    "POD.containers.filter(c, has(c.ports)).map(c, c.ports).size() < 2",
    "POD.containers.all(c, !has(c.ports) || c.ports.all(p, p.protocol == 'TCP'))",
    "POD.containers.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort)))",
    "POD.containers.all(c, c.imagePullPolicy == 'IfNotPresent')",
    "POD.containers.all(c, c.terminationMessagePath.startsWith('/dev'))",
    "POD.containers.all(c, has(c.readinessProbe))",
    "POD.containers.all(c, !has(c.readinessProbe) || c.readinessProbe.periodSeconds == 10)",
    "POD.containers.all(c, !has(c.env) || c.env.all(e, e.name != 'EMPTY' || !has(e.value)))",
    "POD.containers.all(c, !has(c.env) || c.env.exists(e, has(e.valueFrom) && has(e.valueFrom.fieldRef)))",
    "POD.containers.map(c, c.name).all(n, n in ['app', 'side', 'log'])",
    "POD.containers.size() == 1",
    "!has(POD.hostNetwork) || POD.hostNetwork == false",
    "has(POD.hostNetwork)",
    "!has(POD.initContainers)",
    "has(POD.nodeSelector) && POD.nodeSelector.disk == 'ssd'",
    "has(POD.securityContext)",
    "POD.securityContext.runAsNonRoot == true",
    "POD.?securityContext.?fsGroup.orValue(0) > 0",
    "has(POD.automountServiceAccountToken) && !POD.automountServiceAccountToken",
    "POD.terminationGracePeriodSeconds > 10",
    "POD.restartPolicy == 'Always'",
    "POD.dnsPolicy == 'ClusterFirst' && POD.schedulerName == 'default-scheduler'",
    "!has(POD.volumes) || POD.volumes.all(v, !has(v.hostPath))",
    "!has(POD.volumes) || POD.volumes.exists(v, has(v.emptyDir))",
    "has(POD.volumes) && POD.volumes.filter(v, has(v.configMap)).all(v, v.configMap.defaultMode == 420)",
    "has(POD.tolerations) && POD.tolerations.exists(t, t.?key.orValue('') == 'a')",
    "has(POD.affinity) && has(POD.affinity.podAntiAffinity)",
    "!has(POD.topologySpreadConstraints) || POD.topologySpreadConstraints.all(t, t.maxSkew == 1)",
    "has(POD.serviceAccountName)",
    "sets.contains(['app', 'side', 'log', 'proxy'], POD.containers.map(c, c.name))",
];

/// Conditions of single kinds.
const OF_KINDS: [(&str, &[&str]); 9] = [
    (
        "Deployment",
        &[
            "object.spec.replicas <= 3",
            "object.spec.replicas > 1 && object.spec.replicas < 6",
            "object.spec.strategy.type == 'RollingUpdate'",
            "object.spec.strategy.rollingUpdate.maxSurge == '25%'",
            "object.spec.progressDeadlineSeconds == 600",
            "!has(object.spec.paused)",
            "has(object.spec.minReadySeconds)",
            "object.spec.revisionHistoryLimit == 10",
            "object.spec.selector.matchLabels == object.spec.template.metadata.labels",
        ],
    ),
    (
        "StatefulSet",
        &[
            "object.spec.replicas == 1",
            "object.spec.podManagementPolicy == 'OrderedReady'",
            "!has(object.spec.volumeClaimTemplates) || object.spec.volumeClaimTemplates.all(c, c.spec.volumeMode == 'Filesystem')",
            "object.spec.updateStrategy.type == 'RollingUpdate' && object.spec.updateStrategy.rollingUpdate.partition == 0",
        ],
    ),
    (
        "Service",
        &[
            "object.spec.type == 'ClusterIP'",
            "!(object.spec.type in ['NodePort', 'LoadBalancer'])",
            "object.spec.ports.all(p, p.targetPort == p.port)",
            "object.spec.ports.exists(p, p.targetPort == 'tls')",
            "has(object.spec.selector) && object.spec.selector.app == 'web'",
            "object.spec.sessionAffinity == 'None'",
            "!has(object.spec.externalIPs)",
            "object.?spec.?clusterIP.orValue('') != 'None' || object.spec.ports.size() == 2",
        ],
    ),
    (
        "ConfigMap",
        &[
            "has(object.data) && object.data.a == '1'",
            "object.data.mode == ''",
            "int(object.data.a) < 2",
            "!has(object.immutable) || !object.immutable",
            "object.data.all(k, k != 'b')",
        ],
    ),
    (
        "Secret",
        &["object.type == 'Opaque'", "has(object.data) && 'a' in object.data", "!has(object.stringData)"],
    ),
    (
        "PersistentVolumeClaim",
        &[
            "object.spec.volumeMode == 'Filesystem'",
            "quantity(object.spec.resources.requests.storage).isLessThan(quantity('2Gi'))",
            "object.spec.resources.requests.storage == '1Gi'",
            "object.spec.accessModes.all(m, m != 'ReadWriteMany')",
        ],
    ),
    (
        "Ingress",
        &[
            "object.spec.rules.all(r, r.host.endsWith('.example.com'))",
            "has(object.spec.tls) && object.spec.tls.all(t, has(t.secretName))",
            "object.spec.rules.all(r, r.http.paths.all(p, p.pathType == 'Prefix' && p.backend.service.port.number == 80))",
        ],
    ),
    (
        "Job",
        &[
            "object.spec.completions == 1",
            "object.spec.backoffLimit == 6 && object.spec.suspend == false",
            "has(object.spec.ttlSecondsAfterFinished)",
            "object.spec.template.metadata.labels.app == 'web'",
        ],
    ),
    (
        "NetworkPolicy",
        &[
            "object.spec.policyTypes == ['Ingress']",
            "size(object.spec.podSelector) == 0",
            "has(object.spec.ingress) && object.spec.ingress.all(i, i.ports.all(p, p.protocol == 'TCP'))",
        ],
    ),
];

/// Conditions that ask for parameters, which are a ConfigMap.
const OF_PARAMETERS: [&str; 5] = [
    "params != null && int(params.data.most) > 2",
    "object.metadata.name.size() <= int(params.data.most)",
    "params.data.prefix == 'o' && object.metadata.name.startsWith(params.data.prefix)",
    "has(params.data.gone)",
    "params.data.gone == 'x'",
];

fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(0..of.len())]
}

/// A condition that a people's policy may have for the object.
fn condition(rng: &mut Rng, object: &Value, parameters: bool) -> String {
    let kind = object["kind"].as_str().unwrap_or_default();
    let pods = match kind {
        "Pod" => Some("object.spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => Some("object.spec.template.spec"),
        "CronJob" => Some("object.spec.jobTemplate.spec.template.spec"),
        _ => None,
    };
    let own = OF_KINDS.iter().find(|(name, _)| *name == kind).map(|(_, all)| *all);
    let one = match (rng.u8(0..10), pods, own) {
        (0..=4, Some(spec), _) => pick(rng, &OF_PODS).replace("POD", spec),
        (5..=7, _, Some(own)) | (0..=4, None, Some(own)) => (*pick(rng, own)).to_owned(),
        (8, _, _) if parameters => (*pick(rng, &OF_PARAMETERS)).to_owned(),
        _ => (*pick(rng, &OF_ALL)).to_owned(),
    };
    match rng.u8(0..10) {
        0 => format!("!({one})"),
        1 => format!("({one}) || ({})", pick(rng, &OF_ALL)),
        2 => format!("({one}) && ({})", pick(rng, &OF_ALL)),
        3 => format!("({}) ? ({one}) : ({})", pick(rng, &OF_ALL), pick(rng, &OF_ALL)),
        _ => one,
    }
}

/// A policy with its binding, which looks at objects with the label `pair` of that name alone.
pub fn policy(rng: &mut Rng, name: &str, object: &Value) -> [Value; 2] {
    let parameters = rng.u8(0..4) == 0;
    let mut validations = Vec::new();
    for _ in 0..rng.usize(1..3) {
        let mut validation = json!({"expression": condition(rng, object, parameters)});
        if rng.bool() {
            validation["message"] = "that is not wanted here".into();
        }
        match rng.u8(0..5) {
            0 => validation["messageExpression"] = "'not ' + object.metadata.name".into(),
            1 => validation["messageExpression"] = "object.metadata.labels.gone".into(),
            2 => {
                validation["messageExpression"] = "'kind ' + object.kind + ' in ' + request.namespace".into()
            }
            _ => {}
        }
        validations.push(validation);
    }
    let mut spec = json!({
        "failurePolicy": pick(rng, &["Fail", "Fail", "Ignore"]),
        "matchConstraints": {"resourceRules": [rule(rng)], "objectSelector": {"matchLabels": {"pair": name}}},
    });
    if rng.u8(0..4) == 0 {
        let inner = condition(rng, object, false);
        spec["variables"] = json!([{"name": "first", "expression": inner}, {"name": "both", "expression": "variables.first || object.kind == 'Pod'"}]);
        validations.push(json!({"expression": pick(rng, &["variables.both", "variables.first", "!variables.first", "variables.first || variables.both"])}));
    }
    if rng.u8(0..5) == 0 {
        // It sees no namespace.
        let condition = *pick(rng, &OF_ALL[..32]);
        spec["matchConditions"] = json!([{"name": "only", "expression": condition}]);
    }
    spec["validations"] = validations.into();
    let mut bound = json!({"policyName": name, "validationActions": [pick(rng, &["Deny", "Deny", "Deny", "Warn", "Audit"])]});
    if parameters {
        spec["paramKind"] = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        bound["paramRef"] = json!({"name": "params", "parameterNotFoundAction": "Deny"});
        if rng.u8(0..3) == 0 {
            bound["paramRef"] =
                json!({"selector": {"matchLabels": {"params": "yes"}}, "parameterNotFoundAction": "Deny"});
        }
    }
    match rng.u8(0..6) {
        0 => bound["matchResources"]["namespaceSelector"] = json!({"matchLabels": {"stage": "test"}}),
        1 => {
            bound["matchResources"]["objectSelector"] =
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})
        }
        2 => bound["matchResources"]["resourceRules"] = json!([rule(rng)]),
        _ => {}
    }
    let of_kind = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    [of_kind("ValidatingAdmissionPolicy", spec), of_kind("ValidatingAdmissionPolicyBinding", bound)]
}

fn rule(rng: &mut Rng) -> Value {
    let mut rule = json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]});
    match rng.u8(0..10) {
        0 => rule["operations"] = json!(["CREATE"]),
        1 => rule["operations"] = json!(["UPDATE", "DELETE"]),
        2 => rule["apiGroups"] = json!(["", "apps"]),
        3 => rule["resources"] = json!(["pods", "deployments", "configmaps", "services"]),
        4 => rule["scope"] = "Namespaced".into(),
        5 => rule["apiVersions"] = json!(["v1"]),
        _ => {}
    }
    rule
}
