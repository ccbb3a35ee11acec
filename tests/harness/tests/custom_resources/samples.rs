//! What random schemas are made of: patterns, formats and rules, and texts that keep and break them.

/// Patterns, texts that match, and texts that do not.
pub const PATTERNS: &[(&str, &[&str], &[&str])] = &[
    ("^[a-z]+$", &["a", "abc"], &["", "Ab", "a1", "a\n"]),
    ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["a", "a-b", "0"], &["-a", "a-", "A", "a_b"]),
    (r"^\d+(\.\d+)?$", &["1", "1.5"], &["1.", "x", "١"]),
    (r"^\S+$", &["é", "a"], &["a b", "\t", ""]),
    (r"^[0-9]+(Ki|Mi|Gi|m)?$", &["5", "10Gi", "100m"], &["1.5", "Gi", "5gi"]),
    ("^.{1,3}$", &["a", "éé"], &["", "abcd", "a\nb"]),
    ("(?i)^(on|off)$", &["ON", "off"], &["o", "onoff"]),
    (r"^[\w.-]+@[\w.-]+$", &["a@b", "a.b@c-d"], &["a@", "é@b"]),
    (r"^\pL+$", &["é", "ab"], &["1", "a-"]),
    ("b$", &["b", "ab"], &["ba", "b\n"]),
    (r"^(?:[a-z]+,)*[a-z]+$", &["a", "a,b"], &[",a", "a,"]),
    (r"\.ya?ml$", &["a.yaml", ".yml"], &["yaml", "a.yamll"]),
    ("^[^/]*$", &["", "a"], &["a/b"]),
    (r"^\bab\b", &["ab", "ab c"], &["abc", "xab"]),
    (r"^[[:alpha:]_-]+$", &["a_b", "-"], &["1", "é"]),
];

/// Formats, texts that have them, and texts that do not. What is not enforced has nothing to break.
pub const FORMATS: &[(&str, &[&str], &[&str])] = &[
    (
        "date-time",
        &[
            "2024-01-01T00:00:00Z",
            "2024-05-05T10:00:00Z",
            "2025-01-01T10:00:00.5Z",
            "2024-01-01T10:00:00.5+01:00",
        ],
        &["2024-01-01", "x", ""],
    ),
    ("date", &["2024-02-29", "2024-01-01"], &["2024-02-30", "2024-1-1", "20240101"]),
    ("duration", &["1h30m", "5s", "1h", "-5m", "0", "2 days"], &["h", "1x", ""]),
    ("ipv4", &["1.2.3.4"], &["1.2.3.256", "::1", "1.2.3"]),
    ("ipv6", &["::1", "fe80::1"], &["1.2.3.4", "fe80:::1", "::1%eth0"]),
    ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08"]),
    ("mac", &["01:23:45:67:89:ab"], &["01:23:45", "xx:23:45:67:89:ab"]),
    ("uuid", &["00000000-0000-4000-8000-000000000000"], &["0000", "g0000000-0000-4000-8000-000000000000"]),
    ("uuid4", &["00000000-0000-4000-8000-000000000000"], &["00000000-0000-3000-8000-000000000000"]),
    ("uri", &["https://a.b/c", "/a"], &["a", ":x", "http://[::1"]),
    ("email", &["a@b.c"], &["a", "a@", "@b"]),
    ("hostname", &["a.example.com", "a"], &["-a", "a_b", ""]),
    ("byte", &["YWI=", "YWJj"], &["YWI", "a b", "="]),
    ("password", &["", "x"], &[]),
    ("hexcolor", &["#fff", "ABCDEF"], &["#ffff", "x"]),
    ("bsonobjectid", &["0123456789abcdef01234567"], &["0123"]),
    ("ssn", &["111-22-3333"], &["111"]),
    ("isbn10", &["0321751043"], &["0321751044"]),
    ("k8s-short-name", &["a-b", "a"], &["a.b", "A", ""]),
    ("k8s-long-name", &["a.b", "a-b.c"], &["a..b", "A", "a_b"]),
    ("made-up", &["", "x"], &[]),
];

/// Texts of no kind.
pub const TEXTS: &[&str] =
    &["", "a", "b", "ab", "abc", "é", "éé", "A", "a b", "1", "50%", "x-y", "true", "null"];

/// Rules about a text.
pub const OF_TEXT: &[&str] = &[
    "self.size() < 3",
    "size(self) > 0",
    "self.startsWith('a')",
    "self.matches('^[a-z]*$')",
    "!self.contains('b') || self.endsWith('b')",
    "self.lowerAscii() == self",
    "self in ['a', 'b', 'ab', 'abc']",
    "self != 'abc'",
    "self.indexOf('b') < 1",
    "self == '' || self.charAt(0) != 'x'",
    "self.replace('a', '') != ''",
    "self.trim() == self",
    "self.split(',').size() < 3",
    "self == oldSelf",
    "oldSelf == '' || self.startsWith(oldSelf)",
    "self.size() >= oldSelf.size()",
];

/// Rules about a whole number.
pub const OF_INTEGER: &[&str] = &[
    "self > 0",
    "self % 2 == 0",
    "10 / self > 1",
    "self >= 1 && self <= 5",
    "self in [1, 2, 3, 5]",
    "self != 3",
    "double(self) * 1.5 < 9.0",
    "self * self < 50",
    "self >= oldSelf",
    "self == oldSelf || oldSelf == 0",
    "self - oldSelf < 3",
];

/// Rules about a number.
pub const OF_NUMBER: &[&str] =
    &["self > 0.5", "self < 2.0", "self * 2.0 <= 6.0", "int(self) != 2", "self >= oldSelf", "self == 1.5"];

/// Rules about a list of anything.
pub const OF_LIST: &[&str] = &[
    "self.size() < 3",
    "self.size() > 0",
    "size(self) % 2 == 0",
    "self.all(x, x == self[0])",
    "self.exists_one(x, x == self[0])",
    "self.size() >= oldSelf.size()",
    "oldSelf.all(x, x in self)",
    "self == oldSelf",
];

/// Rules about a list of texts.
pub const OF_TEXTS: &[&str] = &[
    "self.all(x, x.size() < 3)",
    "self.exists(x, x == 'a')",
    "self.filter(x, x != 'a').size() < 2",
    "self.map(x, x.size()).all(n, n > 0)",
    "'a' in self",
    "self[0] == 'a'",
    "self.join(',').size() < 5",
    "self.isSorted()",
];

/// Rules about a map.
pub const OF_MAP: &[&str] = &[
    "self.all(k, k.size() < 2)",
    "self.exists(k, k == 'a')",
    "'a' in self",
    "has(self.a)",
    "self.size() < 2",
    "oldSelf.all(k, k in self)",
    "self == oldSelf",
];

/// Rules about a number or a text.
pub const OF_EITHER: &[&str] = &[
    "type(self) == int ? self > 1 : self.endsWith('%')",
    "type(self) == string || self < 5",
    "self == 5 || self == '50%'",
    "self != 'a'",
    "string(self).size() < 3",
    "self == oldSelf",
];

/// Rules about an object with the fields `$a` and `$b`.
pub const OF_OBJECT: &[&str] = &[
    "has(self.$a)",
    "!has(self.$a) || has(self.$b)",
    "has(self.$a) != has(self.$b)",
    "has(self.$a) && self.$a == self.$a",
    "self.$a == self.$a",
    "!has(oldSelf.$a) || has(self.$a)",
    "has(self.$a) == has(oldSelf.$a)",
    "!has(self.$a) || !has(oldSelf.$a) || self.$a == oldSelf.$a",
    "self.$a == oldSelf.$a",
];

/// Rules about the fields `$a` and `$b`, whole numbers.
pub const OF_INTEGERS: &[&str] = &[
    "self.$a <= self.$b",
    "!has(self.$a) || !has(self.$b) || self.$a + self.$b < 9",
    "has(self.$a) && has(self.$b) ? self.$a != self.$b : true",
    "self.$a >= oldSelf.$a",
];

/// Rules that are asked without an old value too.
pub const OPTIONAL: &[&str] = &[
    "!oldSelf.hasValue() || self == oldSelf.value()",
    "oldSelf.hasValue() || self == self",
    "oldSelf.orValue(self) == self",
];
