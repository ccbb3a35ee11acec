//! The second net under secrets. The first is structural: what may hold a secret is never put into a message.

use std::borrow::Cow;

const MASK: &str = "[redacted]";

/// Replaces what looks like a secret: JSON Web Tokens, PEM blocks, `Authorization` values, `user:password@`
/// and query strings of URLs.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    if !might_hold_a_secret(text) {
        return Cow::Borrowed(text);
    }
    let text = without_pem(text);
    let mut out = String::with_capacity(text.len());
    let mut masked_next = false;
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || c == '"' || c == '\'') {
        let end = piece.trim_end_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'').len();
        let (word, tail) = piece.split_at(end);
        if masked_next && !word.is_empty() {
            out.push_str(MASK);
            masked_next = false;
        } else {
            out.push_str(&redact_word(word));
        }
        if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
            masked_next = true;
        }
        out.push_str(tail);
    }
    Cow::Owned(out)
}

fn might_hold_a_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["eyj", "-----begin", "bearer", "basic", "://"].iter().any(|sign| lower.contains(sign))
}

fn without_pem(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find("-----BEGIN ") else {
        return Cow::Borrowed(text);
    };
    let after = &text[start..];
    let end = after
        .find("-----END ")
        .and_then(|at| after[at + 9..].find("-----").map(|close| at + 9 + close + 5))
        .unwrap_or(after.len());
    Cow::Owned(format!("{}{MASK}{}", &text[..start], without_pem(&after[end..])))
}

fn redact_word(word: &str) -> Cow<'_, str> {
    if let Some(at) = jwt_start(word) {
        return Cow::Owned(format!("{}{MASK}", &word[..at]));
    }
    let Some(scheme) = word.find("://") else {
        return Cow::Borrowed(word);
    };
    let (head, rest) = word.split_at(scheme + 3);
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.find('?').map_or(path, |query| &path[..query]);
    let cut_query = if rest.contains('?') { "?…" } else { "" };
    Cow::Owned(format!("{head}{host}{path}{cut_query}"))
}

/// Three parts of base64url joined by dots, the first of which begins as `{"` does when encoded.
fn jwt_start(word: &str) -> Option<usize> {
    let at = word.find("eyJ")?;
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let parts =
        word[at..].split('.').take_while(|part| part.len() > 5 && part.chars().take(5).all(is_base64));
    (parts.count() >= 2).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (text, expected) in [
            ("plain words stay", "plain words stay"),
            ("token eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl end", "token [redacted] end"),
            ("Authorization: Bearer abc123", "Authorization: Bearer [redacted]"),
            (
                "GET https://user:pass@host:6443/api/v1?token=x failed",
                "GET https://host:6443/api/v1?… failed",
            ),
            ("https://host/api", "https://host/api"),
            ("a -----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- b", "a [redacted] b"),
            ("a -----BEGIN PRIVATE KEY-----\nabc", "a [redacted]"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
