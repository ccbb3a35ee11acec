//! The failures that make everything else impossible. Whoever needs the cluster and cannot have it is skipped,
//! blocked by one of these. The plugin `cluster-connectivity` tells them.

use super::connect::FailureKind;
use crate::rule::Rule;

crate::rules! { plugin "cluster-connectivity";
    /// The API server cannot be reached over the network.
    ///
    /// The connection was refused, timed out, was cut, or there is no route. The message says which. Nothing can
    /// be applied and nothing else can be looked at until it answers. Check that the cluster runs, that the
    /// address in the kubeconfig is right, and that VPN, firewall and proxy let you through:
    ///
    /// ```sh
    /// kubectl cluster-info
    /// ```
    UNREACHABLE = "unreachable", wont_land;
    /// The API server's name does not resolve.
    ///
    /// The host in the kubeconfig's `server` is not known to this machine's resolver. Often the cluster was
    /// deleted, the VPN with its private DNS zone is down, or the name is misspelt.
    NAME_RESOLUTION = "name-resolution", wont_land;
    /// The proxy on the way to the API server does not let the connection through.
    ///
    /// The proxy comes from `proxy-url` in the kubeconfig or from `HTTPS_PROXY`. It cannot be reached, wants other
    /// credentials, or refuses the API server's address. Mend the proxy, or name the host in `NO_PROXY`.
    PROXY_REFUSED = "proxy-refused", wont_land;
    /// The API server's certificate has expired, or is not valid yet.
    ///
    /// Every client refuses it. Renew the certificate (on kubeadm clusters `kubeadm certs renew apiserver`), or
    /// correct this machine's clock if that is what is wrong.
    TLS_EXPIRED = "tls-expired", wont_land;
    /// The API server's certificate is for other names than the one it was reached by.
    ///
    /// Use a name that the certificate holds, set `tls-server-name` in the kubeconfig, or have the name added to
    /// the certificate.
    TLS_WRONG_NAME = "tls-wrong-name", wont_land;
    /// The API server's certificate was not signed by an authority that the kubeconfig trusts.
    ///
    /// The cluster may have been rebuilt with a new authority, something may intercept the connection, or
    /// `certificate-authority-data` is missing. Fetch a fresh kubeconfig. Never skip the verification for a deploy.
    TLS_UNKNOWN_ISSUER = "tls-unknown-issuer", wont_land;
    /// The TLS handshake with the API server failed.
    ///
    /// The other side does not speak TLS, or not a version and cipher that this client accepts, or it demands a
    /// client certificate. Check that the port in the kubeconfig is the API server's.
    TLS_HANDSHAKE = "tls-handshake", wont_land;
    /// What answers is not a Kubernetes API server.
    ///
    /// The address was reached and answers HTTP, but not as the Kubernetes API does: a load balancer with no
    /// healthy back end, a login page, another service on the port.
    HTTP_ERROR = "http-error", wont_land;
    /// The cluster is another one than the environment means.
    ///
    /// The environment pins a cluster with `cluster_uid`, the UID of its `kube-system` namespace, and what answers
    /// has another. The kubeconfig's context leads elsewhere. Name the right context, or correct the pin:
    ///
    /// ```sh
    /// kubectl get namespace kube-system -o jsonpath='{.metadata.uid}'
    /// ```
    WRONG_CLUSTER = "wrong-cluster", policy;
    /// The credentials for the cluster cannot be had.
    ///
    /// The kubeconfig names an exec plugin, token file or certificate that cannot be run or read. The message
    /// holds the plugin's own words. Sign in again, or mend the kubeconfig.
    CREDENTIALS_UNAVAILABLE = "credentials-unavailable", wont_land;
    /// The API server does not accept the credentials.
    ///
    /// It answers 401 to every request: the token or certificate is unknown, revoked, or meant for another
    /// cluster. Fetch fresh credentials.
    ///
    /// ```sh
    /// kubectl auth whoami
    /// ```
    CREDENTIALS_REJECTED = "credentials-rejected", wont_land;
    /// The credentials have expired.
    ///
    /// The API server answers 401 and the token or client certificate says itself that its time is over. Sign in
    /// again, or issue new ones.
    CREDENTIALS_EXPIRED = "credentials-expired", wont_land;
    /// The API server's admission control refuses every write.
    ///
    /// Reads work, but even an access review is refused: the `AlwaysDeny` admission plugin is on, or something
    /// like it. Nothing can be created or changed on this cluster.
    ADMISSION_DENIES_ALL = "admission-denies-all", wont_land;
}

/// The cause that a failure to connect stands for.
pub(crate) const fn of(kind: &FailureKind) -> &'static Rule {
    match kind {
        FailureKind::NameResolution => &NAME_RESOLUTION,
        FailureKind::Proxy => &PROXY_REFUSED,
        FailureKind::TlsExpired | FailureKind::TlsNotYetValid => &TLS_EXPIRED,
        FailureKind::TlsWrongName => &TLS_WRONG_NAME,
        FailureKind::TlsUnknownIssuer => &TLS_UNKNOWN_ISSUER,
        FailureKind::TlsOther | FailureKind::NotTls => &TLS_HANDSHAKE,
        FailureKind::ExecMissing
        | FailureKind::ExecFailed
        | FailureKind::ExecTimeout
        | FailureKind::CredentialFile => &CREDENTIALS_UNAVAILABLE,
        FailureKind::Protocol => &HTTP_ERROR,
        _ => &UNREACHABLE,
    }
}
