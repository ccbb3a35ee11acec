use kube_cel::cel::Value as Cel;
use serde_json::json;

use super::{Expression, MAYBE, PARTIAL, Stop, UNKNOWN, World};

/// `t`, `f`, `error`, `?`, or the value itself.
fn outcome(text: &str) -> String {
    let object = json!({
        "metadata": {"name": "web", "uid": UNKNOWN, "labels": {"app": "web", "hash": UNKNOWN}},
        "spec": {"replicas": 3, "half": 0.5, "none": null, "list": [1, 2], "containers": [
            {"name": "a", "securityContext": {"runAsNonRoot": true}, "resources": {"limits": {"memory": "1Gi"}}},
            {"name": "b"}]},
        "more": {PARTIAL: true, "seen": 1}, "class": {"of": MAYBE, "name": "a"},
    });
    let variables = [
        ("names".to_owned(), Expression::new("object.spec.containers.map(c, c.name)")),
        ("second".to_owned(), Expression::new("variables.names[1]")),
        ("broken".to_owned(), Expression::new("object.spec.gone")),
    ];
    let world = World::new(&variables)
        .with("object", &object)
        .with("oldObject", &json!(null))
        .without("params", "the parameters cannot be read");
    let expression = Expression::new(text);
    match world.evaluate(&[&expression]).remove(0) {
        Ok(Cel::Bool(true)) => "t".to_owned(),
        Ok(Cel::Bool(false)) => "f".to_owned(),
        Ok(Cel::String(text)) => (*text).clone(),
        Ok(other) => format!("{other:?}"),
        Err(Stop::Error(_)) => "error".to_owned(),
        Err(Stop::Unknown(_)) => "?".to_owned(),
    }
}

#[test]
fn expressions_come_to_what_the_server_comes_to() {
    for (text, expected) in [
        ("object.spec.replicas > 2 && object.spec.replicas <= 3", "t"),
        ("object.spec.replicas == 3.0", "t"),
        ("object.spec.half < 1", "t"),
        ("object.spec.replicas == '3'", "f"),
        ("oldObject == null", "t"),
        ("object.spec.gone == 1", "error"),
        ("has(object.spec.gone)", "f"),
        ("has(object.spec.gone.deeper)", "error"),
        ("has(object.spec.none)", "t"),
        ("object.spec.replicas.deeper == 1", "error"),
        ("object.spec.gone == 1 || true", "t"),
        ("object.spec.gone == 1 && false", "f"),
        ("'app' in object.metadata.labels", "t"),
        ("'tier' in object.metadata.labels", "f"),
        ("3 in object.spec.list", "f"),
        ("object.spec.list[5] == 1", "error"),
        ("object.spec.replicas < 'a'", "error"),
        ("size(object.metadata.labels) == 2", "t"),
        ("object.metadata.name.startsWith('w')", "t"),
        ("object.spec.replicas.startsWith('w')", "error"),
        ("object.metadata.name.matches('^w.b$')", "t"),
        ("variables.second", "b"),
        ("variables.broken == 1", "error"),
        ("1 / 0 == 1", "error"),
        ("quantity(object.spec.containers[0].resources.limits.memory).isLessThan(quantity('2Gi'))", "t"),
        ("[1, 2].map(x, x + 1) == [2, 3]", "t"),
        ("{'a': 1}.a == 1", "t"),
        ("object.spec.containers.exists_one(c, c.name == 'a')", "t"),
        ("math.greatest(1, 2) == 2", "t"),
        ("sets.contains(object.spec.list, [1])", "t"),
        ("'image: ' + object.metadata.name", "image: web"),
    ] {
        assert_eq!(outcome(text), expected, "{text}");
    }
}

#[test]
fn an_item_may_make_good_the_error_of_another() {
    for (text, expected) in [
        ("object.spec.containers.all(c, c.securityContext.runAsNonRoot)", "error"),
        ("object.spec.containers.all(c, c.securityContext.runAsNonRoot && c.name == 'b')", "f"),
        ("object.spec.containers.exists(c, c.securityContext.runAsNonRoot)", "t"),
        ("object.spec.containers.exists(c, c.securityContext.gone || c.name == 'b')", "t"),
        ("object.spec.containers.map(c, c.securityContext)", "error"),
        ("object.spec.containers.all(c, has(c.securityContext) && c.securityContext.runAsNonRoot)", "f"),
    ] {
        assert_eq!(outcome(text), expected, "{text}");
    }
}

#[test]
fn fields_of_optional_values_are_optional() {
    for (text, expected) in [
        ("object.?spec.?gone.orValue(7) == 7", "t"),
        ("object.?spec.gone.deeper.orValue('x') == 'x'", "t"),
        ("object.?spec.replicas.value() == 3", "t"),
        ("object.?gone.hasValue()", "f"),
        ("object.?gone.value()", "error"),
        ("object.spec.list[?0].orValue(0) == 1", "t"),
        ("object.spec.list[?9].orValue(0) == 0", "t"),
        ("object.spec.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(false))", "f"),
        ("object.?metadata.?name.optMap(n, n + '!').orValue('') == 'web!'", "t"),
        ("optional.of(1).or(optional.of(2)).value() == 1", "t"),
        ("optional.ofNonZeroValue('').hasValue()", "f"),
        ("[?object.?gone, 1] == [1]", "t"),
        ("object.spec.replicas.?deeper.hasValue()", "error"),
        ("has(object.?spec.gone)", "f"),
    ] {
        assert_eq!(outcome(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_known_stays_so_unless_something_else_decides() {
    for (text, expected) in [
        ("object.metadata.uid == 'a'", "?"),
        ("has(object.metadata.uid)", "t"),
        ("object.metadata.uid == 'a' || true", "t"),
        ("object.metadata.uid == 'a' && false", "f"),
        ("object.metadata.labels == {'app': 'web'}", "f"),
        ("object.metadata.labels == {'app': 'web', 'hash': 'x'}", "?"),
        ("object.metadata.labels.all(k, k != '')", "t"),
        ("object.metadata.labels.all(k, v, v != '')", "?"),
        ("object.metadata.labels.exists(k, v, v == 'web')", "t"),
        ("object.metadata.labels.transformList(k, v, k).size() == 2", "t"),
        ("has(object.more.gone)", "?"),
        ("object.more.seen == 1", "t"),
        ("object.more.gone == 1", "?"),
        ("size(object.more) == 1", "?"),
        ("has(object.class.of)", "?"),
        ("has(object.class.other)", "f"),
        ("object.class.of == 'x'", "?"),
        ("object.class.name == 'a'", "t"),
        ("object.class == {'name': 'b'}", "f"),
        ("object.class == {'name': 'a'}", "?"),
        ("params.x == 1", "?"),
        ("params == null", "?"),
        ("authorizer.group('').resource('pods').check('get').allowed()", "?"),
        ("nonsense(1)", "?"),
        ("object.metadata.uid.startsWith('a')", "?"),
        ("object.metadata.?uid.orValue('') == ''", "?"),
        ("string(object.spec.half) == '0.5'", "?"),
        ("object.", "?"),
        ("!!has(object.spec)", "?"),
    ] {
        assert_eq!(outcome(text), expected, "{text}");
    }
}
