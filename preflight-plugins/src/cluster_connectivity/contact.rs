//! Whether there is an API server at the other end, and whether it knows us.

use preflight_core::cluster::causes::{self, *};
use preflight_core::cluster::{ClusterError, ClusterErrorKind, Reader};
use preflight_core::{Context, Examination, Remediation, Rule, Subject};

use super::RULES;

/// Contact could not be made: the cause is told once, and everything else is blocked by it.
pub(super) fn lost(check: &Examination, error: &ClusterError, cluster: &Reader, context: &Context) {
    let all = || causes::RULES.iter().chain(RULES).copied();
    let Some(cause) = error.cause() else {
        let rules: Vec<_> = all().collect();
        check.need::<()>(&rules, Err(error.clone()));
        return;
    };
    let mut rule = check.rule(cause);
    let (subject, message) = (Subject::new(cluster.server()), error.to_string());
    let remedy = remedy(cause, context);
    if error.is_transient() {
        rule.fail_for_now(subject, message, remedy);
    } else {
        rule.fail(subject, message, remedy);
    }
    rule.conclude_with("contact");
    let others: Vec<_> = all().filter(|rule| *rule != cause).collect();
    check.blocked(&others, cause, error.to_string());
}

fn remedy(cause: &Rule, context: &Context) -> Remediation {
    let context = context.cluster_context().map(|name| format!(" --context {name}")).unwrap_or_default();
    let kubectl = |what: &str| format!("kubectl {what}{context}");
    let (info, show) = (kubectl("cluster-info"), kubectl("config view --minify"));
    let to = |summary: &str| Remediation::new(summary).command(info.clone());
    if *cause == UNREACHABLE {
        to(
            "Check that the cluster runs, that the server in the kubeconfig is right, and VPN, firewall and proxy",
        )
    } else if *cause == NAME_RESOLUTION {
        to("Check the server's name in the kubeconfig, and that the VPN with its DNS zone is up")
            .command(show)
    } else if *cause == PROXY_REFUSED {
        to("Mend the proxy, or name the API server's host in NO_PROXY").command("env | grep -i _proxy")
    } else if *cause == TLS_EXPIRED {
        to("Renew the API server's certificate, or correct this machine's clock").command("date --utc")
    } else if *cause == TLS_WRONG_NAME {
        to("Use a name that the certificate holds, or set tls-server-name in the kubeconfig").command(show)
    } else if *cause == TLS_UNKNOWN_ISSUER {
        to("Fetch a fresh kubeconfig; its certificate-authority-data must be that of this cluster")
            .command(show)
    } else if *cause == TLS_HANDSHAKE || *cause == HTTP_ERROR {
        to("Check that address and port in the kubeconfig are those of the API server").command(show)
    } else if *cause == WRONG_CLUSTER {
        Remediation::new("Name the context of the right cluster with --context, or correct cluster_uid")
            .command(kubectl("get namespace kube-system -o jsonpath='{.metadata.uid}'"))
    } else {
        Remediation::new("Fetch fresh credentials: sign in again, or issue a new token or certificate")
            .command(kubectl("auth whoami"))
    }
}

/// Contact was made, which is the evidence that nothing stood in its way. Then: as whom?
pub(super) async fn made(check: &Examination, cluster: &Reader) {
    let answered = format!("{} answered", cluster.server());
    for rule in [
        &UNREACHABLE,
        &NAME_RESOLUTION,
        &PROXY_REFUSED,
        &TLS_EXPIRED,
        &TLS_WRONG_NAME,
        &TLS_HANDSHAKE,
        &HTTP_ERROR,
        &WRONG_CLUSTER,
        &CREDENTIALS_UNAVAILABLE,
        &CREDENTIALS_EXPIRED,
    ] {
        check.rule(rule).conclude_with(&answered);
    }
    let mut issuer = check.rule(&TLS_UNKNOWN_ISSUER);
    if cluster.is_unverified() {
        issuer.warn(
            Subject::new(cluster.server()),
            "The kubeconfig says insecure-skip-tls-verify: anyone could answer in the API server's place",
            Remediation::new(
                "Put certificate-authority-data into the kubeconfig, and remove insecure-skip-tls-verify",
            )
            .command("kubectl config view --minify"),
        );
    }
    issuer.conclude_with(&answered);

    let user = cluster.user().await;
    let mut denies = check.rule(&ADMISSION_DENIES_ALL);
    if let Err(error) = &user
        && matches!(error.kind(), ClusterErrorKind::AdmissionDeniesAll)
    {
        denies.fail(
            Subject::new(cluster.server()),
            format!("Admission control refuses every write, even an access review: {error}"),
            Remediation::new("Take AlwaysDeny out of the API server's --enable-admission-plugins")
                .command("kubectl auth whoami"),
        );
        denies.conclude_with("access review");
    } else if user.is_ok() {
        denies.conclude_with("an access review was accepted");
    } else {
        // Nothing was accepted and nothing refused by admission control: not known.
        check.need::<()>(&[&ADMISSION_DENIES_ALL], user.clone().map(drop));
    }
    let Some(user) = check.need(&[&CREDENTIALS_REJECTED], user) else {
        return;
    };
    let mut rejected = check.rule(&CREDENTIALS_REJECTED);
    if user.username == "system:anonymous" {
        rejected.warn(
            Subject::new(cluster.server()),
            "The API server takes us for system:anonymous: the kubeconfig holds no credentials",
            Remediation::new("Put credentials into the kubeconfig's user").command("kubectl auth whoami"),
        );
    }
    rejected.conclude_with(format!("accepted as {}", user.username));
}
