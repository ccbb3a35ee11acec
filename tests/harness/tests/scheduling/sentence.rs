//! The sentence in which the scheduler says why no node will do.

use std::collections::BTreeMap;

/// How many nodes stand behind each reason; a reason without a number stands for all.
pub type Reasons = BTreeMap<String, Option<u32>>;

/// The first such sentence of a text: `0/7 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint(s).`
pub fn reasons(text: &str) -> Option<Reasons> {
    let start = text.match_indices("0/").map(|(at, _)| at).find(|at| {
        let (digits, rest) = text[*at + 2..].split_at(text[*at + 2..].find(' ').unwrap_or(0));
        !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && rest.starts_with(" nodes are available: ")
    })?;
    let rest = &text[start..];
    let end = rest.find(". ").or_else(|| rest.rfind('.'))?;
    let (count, list) = rest[..end].split_once(" nodes are available: ")?;
    let mut found = Reasons::from([(count.to_owned(), None)]);
    for part in list.split(", ") {
        match part.split_once(' ') {
            Some((number, reason)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                found.insert(reason.to_owned(), number.parse().ok());
            }
            _ => {
                found.insert(part.to_owned(), None);
            }
        }
    }
    Some(found)
}
