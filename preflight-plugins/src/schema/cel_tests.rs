//! Rules that hold, that do not, and that are left undecided.

use super::*;
use serde_json::json;

fn judged(schema: &Value, value: &Value, old: Option<&Value>) -> Judgement {
    let schema = json!({"type": "object", "properties": {"a": schema}});
    let object =
        |value: &Value| json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "n"}, "a": value});
    let mut judgement = Judgement::default();
    validate(&schema, &object(value), old.map(object).as_ref(), &mut judgement);
    judgement
}

fn typed(rule: Value) -> Value {
    json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {
        "n": {"type": "integer"}, "my_name": {"type": "string"}, "d": {"type": "number"},
        "port": {"x-kubernetes-int-or-string": true}, "when": {"type": "string", "format": "date-time"},
        "nil": {"type": "string", "nullable": true},
        "plain": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    }})
}

/// Violations and undecided ones of a rule on a value.
fn counts(rule: &str, value: &Value, old: Option<&Value>) -> (usize, usize) {
    let judged = judged(&typed(json!({"rule": rule})), value, old);
    (judged.violations.len(), judged.undecided.len())
}

#[test]
fn rules_hold_or_do_not() {
    let value = json!({"n": 2, "my_name": "é", "d": 1, "port": "80", "when": "2024-01-01T00:00:00Z", "plain": ["a", "b"], "set": ["b", "a"]});
    let cases = [
        ("self.n > 1", true),
        ("self.n > 2", false),
        ("self.my_name.size() == 1", true),
        ("self.my_name.matches('^\\\\w$')", false),
        ("self.d == 1.0 && self.d / 2.0 == 0.5", true),
        ("type(self.port) == int ? self.port > 1 : self.port.matches('^[0-9]+$')", true),
        ("type(self.port) == int", false),
        ("self.when < timestamp('2025-01-01T00:00:00Z')", true),
        ("has(self.n) && !has(self.nil)", true),
        ("self.set == ['a', 'b']", false),
        ("self.plain.all(x, x in ['a', 'b'])", true),
        ("self.plain.exists(x, x == 'c')", false),
        ("quantity('1Gi').isGreaterThan(quantity('1Mi'))", true),
        ("  ", true),
    ];
    for (rule, holds) in cases {
        let found = judged(&typed(json!({"rule": rule})), &value, None);
        let expected = if rule.contains("set ==") { (0, 1) } else { (usize::from(!holds), 0) };
        assert_eq!((found.violations.len(), found.undecided.len()), expected, "{rule} {found:?}");
    }
}

#[test]
fn errors_are_violations_only_where_the_server_fails_too() {
    let value = json!({"n": 0, "plain": []});
    for rule in [
        "self.d > 1.0",
        "self.plain[0] == 'a'",
        "1 / self.n == 1",
        "1 % self.n == 1",
        "self.plain.all(x, self.d > 1.0) && self.d > 1.0",
        "self.n + 9223372036854775807 + 1 > 0",
    ] {
        assert_eq!(counts(rule, &value, None), (1, 0), "{rule}");
    }
    for rule in ["cel.bind(x, self.n, x == 0)", "self.n ==", "!!(self.n == 0)", "nonsense(self.n)", "self.n"]
    {
        assert_eq!(counts(rule, &value, None), (0, 1), "{rule}");
    }
    assert_eq!(
        counts("self.?d.orValue(1.0) > 0.5", &value, None),
        (0, 0),
        "what is not there has another value"
    );
    assert_eq!(counts("self.d > 1.0 || self.n == 0", &value, None), (0, 0), "the other side decides");
    assert_eq!(counts("self.n == 0 && !has(self.nil)", &json!({"n": 0, "nil": null}), None), (0, 1));
}

#[test]
fn transitions_need_an_old_value() {
    let (one, two) = (json!({"n": 1}), json!({"n": 2}));
    assert_eq!(counts("self.n == oldSelf.n", &one, None), (0, 0));
    assert_eq!(counts("self.n == oldSelf.n", &one, Some(&one)), (0, 0));
    assert_eq!(counts("self.n == oldSelf.n", &one, Some(&two)), (1, 0));
    let optional = |rule: &str, old: Option<&Value>| {
        let judged = judged(&typed(json!({"rule": rule, "optionalOldSelf": true})), &one, old);
        (judged.violations.len(), judged.undecided.len())
    };
    assert_eq!(optional("oldSelf.hasValue()", None), (1, 0));
    assert_eq!(optional("oldSelf.hasValue() && oldSelf.value().n == 2", Some(&two)), (0, 0));
    assert_eq!(optional("oldSelf.orValue(self).n == 1", Some(&two)), (1, 0));
    assert_eq!(optional("oldSelf.?n.orValue(2) == 2", Some(&two)), (0, 0));
}

#[test]
fn what_did_not_change_is_ratcheted() {
    let list = json!({"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5"}]}});
    let schema = json!({"type": "object", "properties": {"list": list, "other": {"type": "integer"}}});
    let of = |list: Value, other: i64| json!({"list": list, "other": other});
    let old = of(json!([9]), 1);
    assert!(judged(&schema, &of(json!([9]), 2), Some(&old)).violations.is_empty());
    assert_eq!(judged(&schema, &of(json!([9, 1]), 2), Some(&old)).violations.len(), 1);
    assert_eq!(counts("self.n > 5", &json!({"n": 1}), Some(&json!({"n": 1}))), (0, 0));
    assert_eq!(counts("self.n > 5", &json!({"n": 1}), Some(&json!({"n": 2}))), (1, 0));
}

#[test]
fn items_of_maps_are_paired_by_key() {
    let schema = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "x-kubernetes-validations": [{"rule": "self.v == oldSelf.v"}],
            "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}});
    let old = json!([{"k": "a", "v": 1}, {"k": "b", "v": 2}]);
    assert!(
        judged(&schema, &json!([{"k": "b", "v": 2}, {"k": "c", "v": 3}]), Some(&old)).violations.is_empty()
    );
    let broken = judged(&schema, &json!([{"k": "b", "v": 1}]), Some(&old));
    assert_eq!(broken.violations[0].path, [Segment::Key("a".into()), Segment::Index(0)]);
}

#[test]
fn messages_and_paths_are_those_of_the_rule() {
    let value = json!({"n": 7});
    let of = |rule: Value| judged(&typed(rule), &value, None).violations.remove(0);
    let made =
        of(json!({"rule": "self.n < 5", "messageExpression": "'n is ' + string(self.n)", "fieldPath": ".n"}));
    assert_eq!((made.message.as_str(), made.path.len()), ("n is 7", 2));
    let fallen = of(
        json!({"rule": "self.n < 5", "messageExpression": "self.d > 1.0 ? 'a' : 'b'", "message": "plain"}),
    );
    assert_eq!(fallen.message, "plain");
    assert_eq!(of(json!({"rule": "self.n < 5"})).message, "breaks the rule self.n < 5");
    assert_eq!(steps(".a['b.c'].d").len(), 3);
    assert!(steps("a").is_empty() && steps("['a").is_empty());
}

#[test]
fn only_all_of_carries_rules() {
    let broken = |key: &str| {
        let schema = json!({"type": "integer", key: [{"x-kubernetes-validations": [{"rule": "self > 5"}]}]});
        judged(&schema, &json!(1), None).violations.len()
    };
    assert_eq!((broken("allOf"), broken("anyOf"), broken("oneOf")), (1, 0, 0));
}

#[test]
fn the_root_sees_its_name_and_no_other_metadata() {
    let schema = |rule: &str| json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
    let judge = |rule: &str, meta: Value| {
        let mut judgement = Judgement::default();
        validate(&schema(rule), &json!({"kind": "A", "metadata": meta}), None, &mut judgement);
        (judgement.violations.len(), judgement.undecided.len())
    };
    assert_eq!(judge("self.metadata.name == 'x' && self.kind == 'A'", json!({"name": "x"})), (0, 0));
    assert_eq!(judge("self.metadata.name.size() < 1", json!({"name": "x"})), (1, 0));
    assert_eq!(judge("self.metadata.name == 'x'", json!({"generateName": "x"})), (0, 1));
}

#[test]
fn what_is_hostile_is_bounded() {
    let many = json!({"plain": vec!["x"; 2000]});
    let deep = "self.plain.all(a, self.plain.all(b, self.plain.all(c, a == b && b == c)))";
    assert_eq!(counts(deep, &many, None), (0, 1));
    assert_eq!(counts(&format!("self{} == 1", ".n".repeat(2000)), &json!({"n": 1}), None), (0, 1));
    let chain = format!("self{} == 1", ".n".repeat(700));
    let _ = counts(&chain, &json!({"n": 1}), None);
    let ternaries = format!("{}true", "true ? true : ".repeat(350));
    let nested = format!("{}1{} == 1", "(".repeat(59), ")".repeat(59));
    for rule in [
        "!".repeat(700) + "true",
        "-".repeat(700) + "1 == 1",
        "1 + ".repeat(700) + "1 == 701",
        ternaries,
        nested,
    ] {
        assert_eq!(counts(&rule, &json!({"n": 1}), None).0, 0, "{rule}");
    }
    for rule in ["(".repeat(3000), "{'a': 1}.b{".into(), "Foo{a: 1}.a == 1".into()] {
        assert_eq!(counts(&rule, &json!({"n": 1}), None).0, 0, "{rule}");
    }
}

#[test]
fn sets_that_the_server_compares_otherwise_are_undecided() {
    let set = |items: Value| json!({"type": "array", "x-kubernetes-list-type": "set", "items": items, "x-kubernetes-validations": [{"rule": "self == self"}]});
    let atomic = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    let cases = [
        (json!({"type": "string"}), json!(["a"]), 0),
        (json!({"type": "string", "format": "date-time"}), json!(["2024-01-01T00:00:00Z"]), 1),
        (json!({"type": "number"}), json!([1]), 1),
        (atomic.clone(), json!([{"x": 1}]), 1),
        (atomic, json!([]), 0),
    ];
    for (items, value, undecided) in cases {
        let found = judged(&set(items), &value, None);
        assert_eq!((found.violations.len(), found.undecided.len()), (0, undecided), "{found:?}");
    }
}

#[test]
fn what_no_rule_looks_at_need_not_be_understood() {
    let value = json!({"n": 2, "when": "2024-01-01T10:00:00+01:00"});
    assert_eq!(counts("self.n > 2", &value, None), (1, 0));
    for rule in ["self.n > 2 && has(self.when)", "dyn(self).size() > 2", "self == self"] {
        assert_eq!(counts(rule, &value, None), (0, 1), "{rule}");
    }
}

#[test]
fn an_optional_old_value_is_seen_as_it_is_written() {
    let rule = json!({"rule": "!oldSelf.hasValue() || oldSelf.value() == self", "optionalOldSelf": true});
    for (value, undecided) in [
        (json!({"n": 1, "my_name": "a", "plain": ["a"]}), 0),
        (json!({"when": "2024-01-01T00:00:00Z"}), 1),
        (json!({"d": 1}), 1),
        (json!({"set": ["a"]}), 1),
    ] {
        let found = judged(&typed(rule.clone()), &value, Some(&value));
        assert_eq!((found.violations.len(), found.undecided.len()), (0, undecided), "{value} {found:?}");
        assert_eq!(judged(&typed(rule.clone()), &value, None), Judgement::default());
    }
}
