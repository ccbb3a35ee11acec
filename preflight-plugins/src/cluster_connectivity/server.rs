//! What the API server says of itself: ready, which version, what time.

use std::time::{Duration, SystemTime};

use preflight_core::cluster::Reader;
use preflight_core::{Examination, Remediation, Subject};

use super::{CLOCK_SKEW, CREDENTIALS_EXPIRING, NOT_READY, VERSION_UNSUPPORTED};

/// The oldest minor version of Kubernetes that serves what Preflight asks for (aggregated discovery v2).
const OLDEST: u16 = 30;
/// The newest minor version that Preflight is tested with.
const NEWEST: u16 = 36;
/// Clocks may differ by this much. Kubernetes allows tokens no leeway, and requests take a moment.
const SKEW: Duration = Duration::from_secs(60);
/// Credentials should hold for this long: a deploy takes less.
const SOON: Duration = Duration::from_secs(3600);

pub(super) async fn examine(check: &Examination, cluster: &Reader) {
    readiness(check, cluster).await;
    version(check, cluster).await;
    clock(check, cluster).await;
    expiry(check, cluster).await;
}

async fn readiness(check: &Examination, cluster: &Reader) {
    let answer = cluster.readiness().await;
    let Some(readiness) = check.need(&[&NOT_READY], answer) else {
        return;
    };
    let mut rule = check.rule(&NOT_READY);
    if !readiness.ready {
        let parts = if readiness.failed.is_empty() {
            "it does not say why".to_owned()
        } else {
            readiness.failed.join(", ")
        };
        rule.fail_for_now(
            Subject::new(cluster.server()),
            format!("The API server is not ready: {parts}"),
            Remediation::new("Wait until the control plane is well, or mend the part that is not")
                .command("kubectl get --raw '/readyz?verbose'"),
        );
    }
    rule.conclude_with(format!("readyz: {} parts are well", readiness.passed.len()));
}

async fn version(check: &Examination, cluster: &Reader) {
    let answer = cluster.version().await;
    let Some(version) = check.need(&[&VERSION_UNSUPPORTED], answer) else {
        return;
    };
    let mut rule = check.rule(&VERSION_UNSUPPORTED);
    let why = match version.minor() {
        Some(minor) if minor < OLDEST => format!("older than 1.{OLDEST}, the oldest"),
        Some(minor) if minor > NEWEST => format!("newer than 1.{NEWEST}, the newest"),
        Some(_) => String::new(),
        None => "not a version".to_owned(),
    };
    if !why.is_empty() {
        rule.warn(
            Subject::new(cluster.server()),
            format!("The API server is {}, {why} that this Preflight knows", version.git_version),
            Remediation::new("Use a Preflight that knows this version, or upgrade the cluster")
                .command("kubectl version"),
        );
    }
    rule.conclude_with(format!("API server {}", version.git_version));
}

async fn clock(check: &Examination, cluster: &Reader) {
    let answer = cluster.date().await;
    let Some(date) = check.need(&[&CLOCK_SKEW], answer) else {
        return;
    };
    let mut rule = check.rule(&CLOCK_SKEW);
    let Some((server, here)) = date.and_then(|(text, here)| Some((parse_date(&text)?, here))) else {
        return rule.conclude("time of the API server");
    };
    let (ahead, apart) = match here.duration_since(server) {
        Ok(apart) => ("ahead of", apart),
        Err(error) => ("behind", error.duration()),
    };
    if apart > SKEW {
        rule.warn(
            Subject::new("this machine's clock"),
            format!("This machine's clock is {} s {ahead} the API server's", apart.as_secs()),
            Remediation::new("Synchronise the clock that is wrong")
                .command("timedatectl status")
                .command("date --utc"),
        );
    }
    rule.conclude_with("the clocks agree");
}

/// The `Date` header (RFC 9110, section 5.6.7).
fn parse_date(text: &str) -> Option<SystemTime> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp().into())
}

async fn expiry(check: &Examination, cluster: &Reader) {
    let answer = cluster.credentials().await;
    let Some(credentials) = check.need(&[&CREDENTIALS_EXPIRING], answer) else {
        return;
    };
    let mut rule = check.rule(&CREDENTIALS_EXPIRING);
    let now = SystemTime::now();
    for credential in credentials {
        rule.examined();
        let left = credential.expires.duration_since(now).unwrap_or_default();
        if left < SOON {
            rule.warn(
                Subject::new(&credential.what),
                format!("The {} expires in {} min", credential.what, left.as_secs() / 60),
                Remediation::new("Sign in again before the deploy starts").command("kubectl auth whoami"),
            );
        }
    }
    rule.conclude("credentials that say when they expire");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let date = parse_date("Tue, 24 Nov 2026 10:00:00 GMT").unwrap();
        assert_eq!(date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1_795_514_400);
        assert_eq!(parse_date("yesterday"), None);
    }
}
