//! How a registry wants to be shown credentials (RFC 9110, section 11.6.1; the distribution project's token
//! specification).

use http_auth::ChallengeRef;

use super::trouble::Trouble;

/// What a registry wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Nothing.
    Open,
    /// User name and password, with each request.
    Basic,
    /// A token, which a service issues.
    Bearer {
        /// The service's URL.
        realm: String,
        /// The registry's name for itself, if it has one.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the values of `WWW-Authenticate`. A token is preferred to a password.
    ///
    /// # Errors
    /// There is none, or none that can be met.
    pub fn read<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self, Trouble> {
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            return Err(Trouble::Challenge {
                why: "does not say of which kind (no WWW-Authenticate)".to_owned(),
            });
        }
        let mut known = Vec::new();
        for value in &values {
            let challenges = http_auth::parse_challenges(value)
                .map_err(|_| Trouble::Challenge { why: "its WWW-Authenticate cannot be read".to_owned() })?;
            known.extend(challenges.iter().filter_map(one));
        }
        known.sort_by_key(|challenge| !matches!(challenge, Self::Bearer { .. }));
        known.into_iter().next().ok_or_else(|| Trouble::Challenge {
            why: "of a kind that container runtimes do not know (not Basic, and no Bearer token)".to_owned(),
        })
    }
}

fn one(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let parameter = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if challenge.scheme.eq_ignore_ascii_case("bearer") {
        return Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_and_tokens_preferred() {
        let bearer = |service: Option<&str>| Challenge::Bearer {
            realm: "https://auth.example.com/token".to_owned(),
            service: service.map(str::to_owned),
        };
        for (values, read) in [
            (
                vec![r#"Bearer realm="https://auth.example.com/token",service="r",scope="x""#],
                bearer(Some("r")),
            ),
            (vec!["Basic realm=\"r\"", r#"bearer realm="https://auth.example.com/token""#], bearer(None)),
            (vec![r#"Basic realm="r""#], Challenge::Basic),
        ] {
            assert_eq!(Challenge::read(values.iter().copied()), Ok(read));
        }
        for values in [vec![], vec!["Negotiate"], vec!["Bearer service=\"r\""], vec!["=,="]] {
            assert!(
                matches!(Challenge::read(values.iter().copied()), Err(Trouble::Challenge { .. })),
                "{values:?}"
            );
        }
    }
}
