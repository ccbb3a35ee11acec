//! Go regular expressions, as RE2 understands them, for the `regex` crate.
//!
//! The two differ in what `\d`, `\w`, `\s` and `\b` mean outside of ASCII, and in what is special between brackets.
//! A pattern for which they might differ otherwise is not translated.

use std::collections::HashMap;
use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Longer patterns are not looked at.
const LONGEST: usize = 10_000;
/// Memory that one compiled pattern may take.
const SIZE: usize = 1 << 21;

/// Patterns that were met before.
#[derive(Default)]
pub(super) struct Patterns(HashMap<String, Option<Regex>>);

impl Patterns {
    /// The pattern, if it surely means here what it means in Go.
    pub(super) fn get(&mut self, pattern: &str) -> Option<&Regex> {
        if !self.0.contains_key(pattern) {
            self.0.insert(pattern.to_owned(), compile(pattern));
        }
        self.0.get(pattern).and_then(Option::as_ref)
    }
}

/// Compiles a Go pattern.
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    if pattern.len() > LONGEST {
        return None;
    }
    RegexBuilder::new(&translate(pattern)?).size_limit(SIZE).dfa_size_limit(SIZE).nest_limit(100).build().ok()
}

fn translate(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    // Whether the last thing was a repetition. Go has no repetition of one.
    let mut repeated = false;
    while let Some(c) = chars.next() {
        let again = std::mem::take(&mut repeated);
        match c {
            '*' | '+' | '?' => {
                if again {
                    return None;
                }
                out.push(c);
                if chars.next_if_eq(&'?').is_some() {
                    out.push('?');
                }
                repeated = true;
            }
            '\\' => escaped(&mut chars, false, &mut out)?,
            '(' if chars.peek() == Some(&'?') => {
                // Flags that Go does not have, or that mean something else there.
                let ahead: String =
                    chars.clone().skip(1).take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
                if !ahead.starts_with('P') && ahead.contains(['x', 'u', 'R']) {
                    return None;
                }
                out.push('(');
                out.extend(chars.next());
            }
            '[' => class(&mut chars, &mut out)?,
            '{' => {
                // Go repeats at most 1000 times, and takes braces that are no repetition as they are.
                let inside: String = chars.clone().take_while(|c| *c != '}').collect();
                let closed = chars.clone().nth(inside.chars().count()).is_some();
                let bounds: Vec<_> = inside.split(',').collect();
                let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
                let repeats = match bounds.as_slice() {
                    [only] => digits(only),
                    [low, high] => digits(low) && (high.is_empty() || digits(high)),
                    _ => false,
                };
                if !closed || !repeats {
                    out.push_str("\\{");
                } else if again || bounds.iter().any(|it| it.parse::<u32>().is_ok_and(|it| it > 1000)) {
                    return None;
                } else {
                    out.push('{');
                    out.push_str(&inside);
                    out.push('}');
                    chars.nth(inside.chars().count());
                    if chars.next_if_eq(&'?').is_some() {
                        out.push('?');
                    }
                    repeated = true;
                }
            }
            '}' => out.push_str("\\}"),
            _ => out.push(c),
        }
    }
    Some(out)
}

/// An escape, with the braces that belong to it.
fn escaped(chars: &mut Peekable<Chars<'_>>, in_class: bool, out: &mut String) -> Option<()> {
    let c = chars.next()?;
    out.push_str(&escape(c, in_class)?);
    if "pPx".contains(c) && chars.next_if_eq(&'{').is_some() {
        out.push('{');
        loop {
            let c = chars.next_if(|c| c.is_ascii_alphanumeric() || "^_}".contains(*c))?;
            out.push(c);
            if c == '}' {
                break;
            }
        }
    }
    Some(())
}

fn escape(c: char, in_class: bool) -> Option<String> {
    let bare = |set: &str, negated: &str| if in_class { set.to_owned() } else { format!("[{negated}{set}]") };
    Some(match c {
        'd' => bare("0-9", ""),
        'w' => bare("0-9A-Za-z_", ""),
        's' => bare(r"\t\n\x0C\r ", ""),
        'D' => "[^0-9]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        'S' => r"[^\t\n\x0C\r ]".to_owned(),
        'b' if !in_class => r"(?-u:\b)".to_owned(),
        'A' | 'z' if !in_class => format!("\\{c}"),
        'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => format!("\\{c}"),
        _ if c.is_ascii_punctuation() => {
            let mut text = String::new();
            write!(text, "\\x{{{:x}}}", u32::from(c)).ok()?;
            text
        }
        _ => return None,
    })
}

/// What is between brackets. Only the first `]`, ranges, escapes and `[:name:]` are special in Go.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = chars.next()?;
        match c {
            ']' if !first => break,
            '\\' => escaped(chars, true, out)?,
            '[' if chars.peek() == Some(&':') => {
                let name: String = chars.clone().take_while(|c| *c != ']').collect();
                if !name.ends_with(':') {
                    return None;
                }
                out.push('[');
                out.push_str(&name);
                out.push(']');
                chars.nth(name.chars().count());
            }
            '-' if first || chars.peek() == Some(&']') => out.push_str("\\-"),
            '-' => out.push('-'),
            _ if c.is_ascii_punctuation() => out.push_str(&escape(c, true)?),
            ' ' => out.push_str("\\x20"),
            _ => out.push(c),
        }
        first = false;
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let cases = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\w$", "é", false),
            (r"^[\w.-]+$", "a.b-c", true),
            (r"^[a&&b]+$", "&a", true),
            (r"^[a[b]+$", "a[b", true),
            (r"^[^\[\]]+$", "a[", false),
            (r"^[[:alpha:]-]+$", "a-b", true),
            (r"^[]a]+$", "]a", true),
            (r"^a{2,3}$", "aa", true),
            (r"^a{2,3}$", "a", false),
            (r"^{a}$", "{a}", true),
            (r"b", "abc", true),
            (r"^[\p{L}\d]+\x{e9}$", "a1é", true),
            (r"(?i)^ABC$", "abc", true),
            (r"^\S+@\S+$", "a@b", true),
            (r"^[!-~]+$", "a~", true),
            (r"^(?P<name>a)\.\/b$", "a./b", true),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", true),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^a+?b{1,2}?(?:c)?$", "abbc", true),
        ];
        for (pattern, text, expected) in cases {
            let regex = compile(pattern).unwrap_or_else(|| panic!("{pattern}"));
            assert_eq!(regex.is_match(text), expected, "{pattern} {text}");
        }
        for strange in [
            r"a(?=b)",
            r"\Qa.b\E",
            r"(?x)a b",
            r"a{1001}",
            r"[a",
            "\\",
            r"(a{900}){900}",
            r"a**",
            r"a+{2}",
            r"a*??",
        ] {
            assert!(compile(strange).is_none(), "{strange}");
        }
    }
}
