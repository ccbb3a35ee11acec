//! What a CEL rule uses, as far as it matters to whether its result here can be trusted.

use std::collections::HashSet;

/// Longer rules are not evaluated.
const LONGEST: usize = 5000;
/// Brackets in brackets. Deeper rules are not evaluated.
const DEEPEST: usize = 60;
/// Operators in one rule.
const CHAINED: usize = 800;
/// Macros that go through a list or a map.
const MACROS: [&str; 9] =
    ["all", "exists", "exists_one", "existsOne", "map", "filter", "transformList", "transformMap", "sortBy"];
/// What compares values without an operator for that.
const COMPARING: [&str; 5] = ["in", "sets", "indexOf", "lastIndexOf", "distinct"];

/// What was seen in the text of a rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// All names in it.
    pub words: HashSet<String>,
    /// Loops in loops.
    pub nesting: u32,
    /// `+`, which means something else for lists of type `set` and `map`.
    pub plus: bool,
    /// `!!` or `--`, which the `cel` crate takes for a single one.
    pub doubled: bool,
    /// `==` or `!=`.
    pub compares: bool,
    /// It may compare more than one text or number.
    pub compares_many: bool,
    /// A list written out is compared, whose order cannot be changed.
    pub compares_list: bool,
    /// It mentions metadata.
    pub metadata: bool,
    /// Something that is not written here the way it is compared: `string(1.0)`.
    pub printing: bool,
}

impl Shape {
    /// Whether it may look at an object or a list as a whole.
    pub(super) fn compares_whole(&self) -> bool {
        let looks = |word: &&str| self.words.contains(*word);
        self.compares_many || self.plus || COMPARING.iter().any(looks)
    }

    /// Whether it cannot tell if an object has a field.
    pub(super) fn overlooks(&self, field: &str) -> bool {
        !(self.compares_whole() || self.printing || self.words.contains("dyn") || self.words.contains(field))
    }
}

/// Looks at a rule. `None`: too long or too deep to be evaluated safely.
pub(crate) fn scan(rule: &str) -> Option<Shape> {
    if rule.len() > LONGEST {
        return None;
    }
    let code = skeleton(rule);
    let text: String = code.iter().collect();
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let mut shape = Shape { words: words.map(str::to_owned).collect(), ..Shape::default() };
    let mut open: Vec<(bool, bool)> = Vec::new();
    for (at, c) in code.iter().enumerate() {
        match c {
            '(' | '[' | '{' => {
                let word = word_before(&code, at);
                let looping = *c == '(' && word.1 && MACROS.contains(&word.0.as_str());
                shape.printing |= *c == '(' && ["string", "format"].contains(&word.0.as_str());
                let before = code.iter().take(at).rev().find(|c| !c.is_whitespace());
                let written =
                    *c == '[' && before.is_none_or(|c| !(c.is_alphanumeric() || "_)]\"".contains(*c)));
                shape.compares_list |= written && before == Some(&'=');
                open.push((looping, written));
                let loops = open.iter().filter(|it| it.0).count();
                shape.nesting = shape.nesting.max(u32::try_from(loops).unwrap_or(u32::MAX));
            }
            ')' | ']' | '}' => {
                let written = open.pop().is_some_and(|it| it.1);
                shape.compares_list |= written && next(&code, at).is_some_and(|c| "=!".contains(c));
            }
            '=' => {
                let unlike = code.get(at.wrapping_sub(1)) == Some(&'!');
                if unlike || next(&code, at) == Some('=') {
                    shape.compares = true;
                    let with = next(&code, if unlike { at } else { at + 1 });
                    shape.compares_many |= !with.is_some_and(|c| c == '"' || c.is_ascii_digit());
                }
            }
            '.' => {
                shape.metadata |= word_after(&code, at) == "metadata";
            }
            '+' => shape.plus = true,
            '!' | '-' => shape.doubled |= next(&code, at) == Some(*c),
            _ => {}
        }
        if open.len() > DEEPEST {
            return None;
        }
    }
    // Chains of these make trees as deep as they are long.
    let chained = code.iter().filter(|c| "!?-.+*/%<>=&|".contains(**c)).count();
    (chained <= CHAINED).then_some(shape)
}

/// The rule without comments and without what is in its strings.
fn skeleton(rule: &str) -> Vec<char> {
    let text: Vec<char> = rule.chars().collect();
    let is = |at: usize, what: &str| what.chars().enumerate().all(|(off, c)| text.get(at + off) == Some(&c));
    let mut code = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        if is(at, "//") {
            while text.get(at).is_some_and(|c| *c != '\n') {
                at += 1;
            }
            continue;
        }
        if c != '"' && c != '\'' {
            code.push(c);
            at += 1;
            continue;
        }
        let prefix: String = code.iter().rev().take_while(|c| c.is_alphabetic()).collect();
        let raw =
            matches!(prefix.as_str(), "r" | "R" | "rb" | "br" | "BR" | "RB" | "bR" | "Rb" | "rB" | "Br");
        let start = at;
        let triple: String = std::iter::repeat_n(c, 3).collect();
        let end = if is(at, &triple) { triple } else { c.to_string() };
        at += end.chars().count();
        while at < text.len() && !is(at, &end) {
            at += if text.get(at) == Some(&'\\') && !raw { 2 } else { 1 };
        }
        at += end.chars().count();
        let empty = at == start + 2 * end.chars().count();
        code.extend(if empty { "\"\"" } else { "\"" }.chars());
    }
    code
}

fn next(code: &[char], at: usize) -> Option<char> {
    code.iter().skip(at + 1).copied().find(|c| !c.is_whitespace())
}

fn word_after(code: &[char], at: usize) -> String {
    let rest = code.iter().skip(at + 1).skip_while(|c| c.is_whitespace());
    rest.take_while(|c| c.is_alphanumeric() || **c == '_').collect()
}

/// The word before a place, and whether it is called on something.
fn word_before(code: &[char], at: usize) -> (String, bool) {
    let mut before = code.iter().take(at).rev().skip_while(|c| c.is_whitespace()).peekable();
    let mut word = Vec::new();
    while let Some(c) = before.next_if(|c| c.is_alphanumeric() || **c == '_') {
        word.push(*c);
    }
    let called = before.find(|c| !c.is_whitespace()) == Some(&'.');
    (word.into_iter().rev().collect(), called)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_seen() {
        let scanned = |rule: &str| scan(rule).unwrap_or_else(|| panic!("{rule}"));
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<HashSet<_>>();
        let plain = scanned("self.a < 'x.?y + (' // +");
        assert_eq!(plain, Shape { words: words(&["self", "a"]), ..Shape::default() });
        assert_eq!(scanned(r"self.f(r'\') && true").words, words(&["self", "f", "r", "true"]));
        assert_eq!(scanned("self.a.all(x, x.b.exists(y, y > 1)) && self.c.all(z, z)").nesting, 2);
        assert!(scanned("self.a .all (x, true)").nesting == 1 && scanned("all(self)").nesting == 0);
        assert!(scanned("self.metadata.name == 'a' + 'b'").metadata && scanned("1 + 1 == 2").plus);
        assert!(scanned("string(self) == '1'").printing && !scanned("self == '1'").printing);
        assert!(scanned("self.a == ['a']").compares_list && scanned("['a'] != self.a").compares_list);
        assert!(!scanned("self.a[0] == self.b && self.a in [1]").compares_list && scanned("a != b").compares);
        assert!(scanned("a != b").compares_many && scanned("a == [1]").compares_many);
        assert!(!scanned("a != 'b' && a == 1 && a <= b").compares_many);
        assert!(scanned("! !self").doubled && scanned("1 - -1 == 2").doubled && !scanned("!a && !b").doubled);
        assert_eq!(scan(&"(".repeat(100)), None);
        assert_eq!(scan(&"!".repeat(1000)), None);
        assert_eq!(scan(&"a".repeat(6000)), None);
        assert!(scan("'unfinished \\").is_some());
    }
}
