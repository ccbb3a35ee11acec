//! The way to the registries: what was found out about it, and how grave that is.

use std::collections::BTreeSet;

use preflight_core::net::FailureKind;
use preflight_core::{Examination, Remediation, Rule, Subject};

use super::hub::Hub;
use super::inquiry::Inquiry;
use super::settings::NodeCredentials;
use super::{
    AUTH_CHALLENGE, NAME_RESOLUTION, NOT_A_REGISTRY, OF_CONTACT, SERVER_ERROR, THROTTLED, TLS, TOKEN_SERVICE,
    UNREACHABLE,
};
use crate::registry::Trouble;

/// A registry that the environment requires, and what it said.
pub(super) struct Required {
    authority: String,
    trouble: Option<Trouble>,
}

/// Greets the registries that the environment requires.
pub(super) async fn required(hub: &Hub) -> Vec<Required> {
    if hub.offline {
        return Vec::new();
    }
    let wanted = hub.registries.0.iter().filter(|(_, entry)| entry.required);
    let greeting = wanted.map(|(authority, _)| async move {
        let trouble = hub.client(authority, false).hello().await.err();
        Required { authority: authority.clone(), trouble }
    });
    futures::future::join_all(greeting).await
}

/// The rule that a trouble is about; `None` where it is about the image or the credentials.
pub(super) fn rule_of(trouble: &Trouble) -> Option<&'static Rule> {
    use FailureKind as Kind;
    Some(match trouble {
        Trouble::Connect(failure) => match failure.kind {
            Kind::NameResolution => &NAME_RESOLUTION,
            Kind::TlsExpired
            | Kind::TlsNotYetValid
            | Kind::TlsWrongName
            | Kind::TlsUnknownIssuer
            | Kind::TlsOther
            | Kind::NotTls => &TLS,
            Kind::Protocol => &NOT_A_REGISTRY,
            Kind::CutShort | Kind::TooLarge => &SERVER_ERROR,
            _ => &UNREACHABLE,
        },
        Trouble::TimedOut { .. } => &UNREACHABLE,
        Trouble::NotARegistry { .. } => &NOT_A_REGISTRY,
        Trouble::Challenge { .. } => &AUTH_CHALLENGE,
        Trouble::TokenService { .. } => &TOKEN_SERVICE,
        Trouble::Throttled { .. } => &THROTTLED,
        Trouble::Status { .. } | Trouble::Malformed { .. } => &SERVER_ERROR,
        Trouble::Refused { .. } | Trouble::Missing { .. } => return None,
    })
}

/// A trouble on the way to a registry.
struct Incident<'a> {
    authority: &'a str,
    trouble: &'a Trouble,
    /// Another place gave what this one did not.
    made_up_for: bool,
    required: bool,
}

/// Says of every rule about contact what became of it.
pub(super) fn conclude(check: &Examination, hub: &Hub, inquiries: &[Inquiry], required: &[Required]) {
    if hub.offline {
        return check.set_aside(OF_CONTACT, "--offline");
    }
    let mut incidents = Vec::new();
    for inquiry in inquiries {
        let made_up_for = inquiry.found().is_some();
        incidents.extend(inquiry.failed().map(|tried| Incident {
            authority: &tried.authority,
            trouble: &tried.trouble,
            made_up_for,
            required: false,
        }));
    }
    incidents.extend(required.iter().filter_map(|registry| {
        let trouble = registry.trouble.as_ref()?;
        Some(Incident { authority: &registry.authority, trouble, made_up_for: false, required: true })
    }));
    // Of one that did not answer nothing further is known.
    let answered: BTreeSet<String> = hub
        .clients()
        .iter()
        .filter(|client| client.has_answered())
        .map(|client| client.address().authority.clone())
        .collect();
    // What was found out at some other time counts more: a mirror may have answered one image and not another.
    incidents.sort_by_key(|incident| (!incident.required, incident.made_up_for));
    for rule in OF_CONTACT {
        let mut told = BTreeSet::new();
        let mut examination = check.rule(rule);
        for incident in incidents.iter().filter(|incident| rule_of(incident.trouble) == Some(*rule)) {
            if told.insert(incident.authority) {
                tell(check, &mut examination, rule, hub, incident);
            }
        }
        examination
            .examined_many(answered.iter().filter(|authority| !told.contains(authority.as_str())).count());
        examination.conclude("registries");
    }
}

fn tell(
    check: &Examination,
    examination: &mut preflight_core::RuleCheck<'_>,
    rule: &'static Rule,
    hub: &Hub,
    incident: &Incident<'_>,
) {
    let Incident { authority, trouble, .. } = incident;
    let subject = Subject::new(format!("registry {authority}"));
    let (message, remedy) = (format!("{authority}: {trouble}"), remedy(rule, hub, authority, trouble));
    let through_nodes = hub.node_credentials(authority) == Some(NodeCredentials::Assumed);
    let trusted_by_nodes = hub.registries.of(authority).is_some_and(|entry| entry.ca.is_some());
    // Every client sees a certificate that has expired; whose authority is trusted is each machine's own affair.
    let unknown_issuer =
        trouble.failure().is_some_and(|failure| failure.kind == FailureKind::TlsUnknownIssuer);
    let for_nodes_too = trouble.is_bad_certificate() || (unknown_issuer && trusted_by_nodes);
    if incident.made_up_for {
        examination.examined();
        examination.warn(subject, format!("{message}; another place has the image"), remedy);
    } else if incident.required && trouble.is_transient() {
        examination.fail_for_now(subject, message, remedy);
    } else if incident.required || (for_nodes_too && !through_nodes) {
        examination.fail(subject, message, remedy);
    } else {
        check.unknown(&[rule], message, remedy.on_one_line());
    }
}

fn remedy(rule: &'static Rule, hub: &Hub, authority: &str, trouble: &Trouble) -> Remediation {
    let curl = hub.curl(authority);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    match rule {
        rule if *rule == NAME_RESOLUTION => {
            Remediation::new("Correct the name, or mend this machine's resolver or VPN")
                .command(format!("getent hosts {host}"))
        }
        rule if *rule == TLS => {
            let issuer = trouble.failure().is_some_and(|f| f.kind == FailureKind::TlsUnknownIssuer);
            let not_tls = trouble.failure().is_some_and(|f| f.kind == FailureKind::NotTls);
            let port = if authority.contains(':') { "" } else { ":443" };
            Remediation::new(if issuer {
                format!("Name its authority with `registries.{authority}.ca`, and have the nodes trust it")
            } else if not_tls {
                format!("Give it TLS, or say `registries.{authority}.plain_http: true` and tell the nodes' runtimes")
            } else {
                "Renew its certificate, for the name that it is reached by".to_owned()
            })
            .command(format!("openssl s_client -connect {authority}{port} -servername {host} </dev/null"))
        }
        rule if *rule == THROTTLED => Remediation::new(
            "Wait as long as it says, or pull with credentials that have a higher limit, or through a mirror",
        )
        .command(curl),
        rule if *rule == TOKEN_SERVICE => {
            Remediation::new("Ask again; if it stays, mend the token service that the registry names")
                .command(curl)
        }
        rule if *rule == AUTH_CHALLENGE => {
            Remediation::new("Mend the registry, or the proxy in front of it, so that it says how to sign in")
                .command(curl)
        }
        rule if *rule == NOT_A_REGISTRY => {
            Remediation::new("Correct the host or port, or what stands in between").command(curl)
        }
        rule if *rule == SERVER_ERROR => {
            Remediation::new("Ask again; if it stays, look into the registry's log").command(curl)
        }
        _ => Remediation::new("Start it, or let this machine through to it").command(curl),
    }
}
