//! From options, kubeconfig and surroundings to an [`Access`].

use std::path::Path;

use base64::Engine;
use http::{HeaderValue, Uri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

use super::credentials::{Identity, Proof, decode_base64};
use super::error::AccessError;
use super::exec::ExecPlugin;
use super::kubeconfig::{ClusterEntry, ExecEntry, Kubeconfig, Selected, Surroundings, UserEntry, given};
use super::{Access, AccessOptions, Impersonation, Roots};
use crate::net::{Proxy, Secret, login_of};

/// Key under which a cluster's `extensions` hold what its exec plugins are told (`clientcmd` in client-go).
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";
/// Versions of the exec protocol that kubectl speaks.
const EXEC_VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

pub(super) fn resolve(options: &AccessOptions, surroundings: &Surroundings) -> Result<Access, AccessError> {
    let kubeconfig = Kubeconfig::find(options.kubeconfig.as_deref(), surroundings)?;
    let mut access = match kubeconfig {
        Some(kubeconfig) => {
            from_context(kubeconfig.select(options.context.as_deref())?, options, surroundings)?
        }
        None => in_cluster(options, surroundings)?,
    };
    impersonate(&mut access.impersonation, options)?;
    Ok(access)
}

fn from_context(
    selected: Selected,
    options: &AccessOptions,
    surroundings: &Surroundings,
) -> Result<Access, AccessError> {
    let Selected { context, namespace, cluster_name, cluster, user_name, user } = selected;
    let cluster_place = format!("cluster {cluster_name:?}");
    let user_place = format!("user {user_name:?}");
    let roots = roots(&cluster, &cluster_place)?;
    let identity = identity(&user, &user_place)?;
    let server = given(cluster.server.clone())
        .ok_or_else(|| AccessError::new(format!("The kubeconfig's {cluster_place} has no server")))?;
    let secure = !matches!(roots, Roots::System) || identity.is_some();
    let url = server_url(&server, secure, &cluster_place)?;
    let tls_server_name = given(cluster.tls_server_name.clone())
        .map(|name| {
            let malformed =
                format!("tls-server-name of the kubeconfig's {cluster_place} is not a host's name");
            ServerName::try_from(name).map_err(|_| AccessError::new(malformed))
        })
        .transpose()?;
    let proxy_url = given(cluster.proxy_url.clone());
    let proxy =
        Proxy::choose(proxy_url.as_deref(), &url, &|names| surroundings.variable(names).map(str::to_owned))?;
    let login = server.split_once("://").and_then(|(_, rest)| login_of(rest.split('/').next()?));
    let proof = proof(&user, &user_place, login, &cluster, options)?;
    Ok(Access {
        server: told(&url),
        url,
        context: Some(context),
        namespace,
        roots,
        tls_server_name,
        proxy,
        proof,
        identity,
        impersonation: Impersonation {
            user: given(user.impersonate),
            uid: given(user.as_uid),
            groups: user.as_groups.unwrap_or_default(),
            extra: user.as_user_extra.unwrap_or_default(),
        },
        connect_timeout: options.connect_timeout,
    })
}

/// As client-go does: the address from the environment, the rest from the mounted files.
fn in_cluster(options: &AccessOptions, surroundings: &Surroundings) -> Result<Access, AccessError> {
    let host = surroundings.variable(&["KUBERNETES_SERVICE_HOST"]);
    let port = surroundings.variable(&["KUBERNETES_SERVICE_PORT"]);
    let (Some(host), Some(port)) = (host, port) else {
        let message = "There is no kubeconfig: neither --kubeconfig nor $KUBECONFIG names one, and \
                       ~/.kube/config does not exist or is empty";
        return Err(AccessError::new(message)
            .with_help("Name one with --kubeconfig, or fetch one from your cluster's provider"));
    };
    if let Some(context) = &options.context {
        return Err(AccessError::new(format!(
            "There is no context {context:?}: there is no kubeconfig, only this pod's ServiceAccount"
        )));
    }
    let authority = surroundings.service_account.join("ca.crt");
    let pem = read_file("the ServiceAccount's authority", &authority)?;
    certificates(&pem, "the ServiceAccount's ca.crt")?;
    let token = surroundings.service_account.join("token");
    read_file("the ServiceAccount's token", &token)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = server_url(&format!("https://{host}:{port}"), true, "environment (KUBERNETES_SERVICE_HOST)")?;
    let namespace = std::fs::read_to_string(surroundings.service_account.join("namespace")).ok();
    Ok(Access {
        server: told(&url),
        proxy: Proxy::choose(None, &url, &|names| surroundings.variable(names).map(str::to_owned))?,
        url,
        context: None,
        namespace: given(namespace.map(|name| name.trim().to_owned())),
        roots: Roots::File(authority),
        tls_server_name: None,
        proof: Proof::TokenFile { path: token, otherwise: None },
        identity: None,
        impersonation: Impersonation::default(),
        connect_timeout: options.connect_timeout,
    })
}

/// Options count before the kubeconfig, each by itself, as in kubectl.
fn impersonate(impersonation: &mut Impersonation, options: &AccessOptions) -> Result<(), AccessError> {
    if let Some(user) = given(options.impersonate_user.clone()) {
        impersonation.user = Some(user);
    }
    if !options.impersonate_groups.is_empty() {
        impersonation.groups.clone_from(&options.impersonate_groups);
    }
    let Impersonation { user, uid, groups, extra } = &*impersonation;
    if user.is_none() && (uid.is_some() || !groups.is_empty() || !extra.is_empty()) {
        return Err(AccessError::new("Groups, UID or extra fields are impersonated, but no user")
            .with_help("Name the user too, with --as"));
    }
    let values = user.iter().chain(uid).chain(groups).chain(extra.values().flatten());
    for value in values {
        if HeaderValue::from_str(value).is_err() {
            return Err(AccessError::new(format!("Nobody can be impersonated by the name {value:?}")));
        }
    }
    Ok(())
}

fn roots(cluster: &ClusterEntry, place: &str) -> Result<Roots, AccessError> {
    let what = format!("certificate-authority of the kubeconfig's {place}");
    let pem = data_or_file(
        &what,
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
    )?;
    match (pem, cluster.insecure_skip_tls_verify) {
        (Some(_), Some(true)) => Err(AccessError::new(format!(
            "The kubeconfig's {place} has both certificate-authority and insecure-skip-tls-verify"
        ))
        .with_help("Remove one of the two; kubectl refuses this as well")),
        (None, Some(true)) => Ok(Roots::Unverified),
        (Some(pem), _) => certificates(&pem, &what).map(Roots::Given),
        (None, _) => Ok(Roots::System),
    }
}

/// The certificates of a PEM file, each known to be usable as an authority.
fn certificates(pem: &[u8], what: &str) -> Result<Vec<Vec<u8>>, AccessError> {
    let unusable = |why: &str| AccessError::new(format!("Cannot use {what}: {why}"));
    let mut store = rustls::RootCertStore::empty();
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| unusable("it is not valid PEM"))?;
        found.push(certificate.to_vec());
        store.add(certificate).map_err(|_| unusable("it holds a certificate that is malformed"))?;
    }
    if found.is_empty() {
        return Err(unusable("it holds no PEM block CERTIFICATE"));
    }
    Ok(found)
}

fn identity(user: &UserEntry, place: &str) -> Result<Option<Identity>, AccessError> {
    let what = |what: &str| format!("{what} of the kubeconfig's {place}");
    let certificate = data_or_file(
        &what("client-certificate"),
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
    )?;
    let key_data = user.client_key_data.as_ref().map(Secret::expose);
    let key = data_or_file(&what("client-key"), key_data, user.client_key.as_deref())?;
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Identity::new(certificate, &key)
            .map(Some)
            .map_err(|why| AccessError::new(format!("The kubeconfig's {place} cannot be used: {why}"))),
        (Some(_), None) => Err(AccessError::new(format!(
            "The kubeconfig's {place} has client-certificate, but no client-key"
        ))),
        (None, Some(_)) => Err(AccessError::new(format!(
            "The kubeconfig's {place} has client-key, but no client-certificate"
        ))),
    }
}

fn data_or_file(what: &str, data: Option<&str>, file: Option<&Path>) -> Result<Option<Vec<u8>>, AccessError> {
    match (data.filter(|data| !data.is_empty()), file) {
        (Some(data), _) => decode_base64(data)
            .map(Some)
            .ok_or_else(|| AccessError::new(format!("Cannot use {what}: its data is not valid base64"))),
        (None, Some(file)) => read_file(what, file).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_file(what: &str, path: &Path) -> Result<Vec<u8>, AccessError> {
    std::fs::read(path).map_err(|error| AccessError::unreadable(what, path, &error))
}

/// What is given outright counts before the exec plugin, as in client-go.
fn proof(
    user: &UserEntry,
    place: &str,
    login: Option<(String, Secret)>,
    cluster: &ClusterEntry,
    options: &AccessOptions,
) -> Result<Proof, AccessError> {
    if let Some(provider) = &user.auth_provider {
        return Err(removed_provider(provider.name.as_deref().unwrap_or_default(), place));
    }
    let token = user.token.clone().filter(|token| !token.expose().is_empty());
    let basic = given(user.username.clone()).map(|name| {
        let password = user.password.clone().unwrap_or_else(|| Secret::new(""));
        (name, password)
    });
    match (token, user.token_file.clone(), basic) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => Err(AccessError::new(format!(
            "The kubeconfig's {place} has both a token and a username; only one of the two can be used"
        ))),
        (otherwise, Some(path), None) => Ok(Proof::TokenFile { path, otherwise }),
        (Some(token), None, None) => Ok(Proof::Token(token)),
        (None, None, Some((user, password))) => Ok(Proof::Basic { user, password }),
        (None, None, None) => match (&user.exec, login) {
            (Some(exec), _) => exec_plugin(exec, place, cluster, options).map(Proof::Exec),
            (None, Some((user, password))) => Ok(Proof::Basic { user, password }),
            (None, None) => Ok(Proof::None),
        },
    }
}

/// In-tree providers were removed from kubectl in 1.26 (gcp, azure); oidc remains there, and has no exec form here.
fn removed_provider(name: &str, place: &str) -> AccessError {
    let help = match name {
        "gcp" => "Install gke-gcloud-auth-plugin and run: gcloud container clusters get-credentials CLUSTER",
        "azure" => "Install kubelogin and run: kubelogin convert-kubeconfig",
        "oidc" => "Use an exec plugin that speaks OIDC, for example kubectl oidc-login (kubelogin)",
        _ => "Use the exec plugin of your cluster's provider",
    };
    AccessError::new(format!(
        "The kubeconfig's {place} uses the auth-provider {name:?}, which is replaced by exec plugins"
    ))
    .with_help(help)
}

fn exec_plugin(
    exec: &ExecEntry,
    place: &str,
    cluster: &ClusterEntry,
    options: &AccessOptions,
) -> Result<ExecPlugin, AccessError> {
    if exec.command.is_empty() {
        return Err(AccessError::new(format!("The exec plugin of the kubeconfig's {place} has no command")));
    }
    let command = &exec.command;
    let api_version = given(exec.api_version.clone()).unwrap_or_default();
    if !EXEC_VERSIONS.contains(&api_version.as_str()) {
        return Err(AccessError::new(format!(
            "The exec plugin {command} of the kubeconfig's {place} has the apiVersion {api_version:?}"
        ))
        .with_help(format!(
            "Known are {}; a newer version of the plugin may write one",
            EXEC_VERSIONS.join(" and ")
        )));
    }
    match exec.interactive_mode.as_deref() {
        None | Some("" | "Never" | "IfAvailable") => {}
        Some("Always") => {
            return Err(AccessError::new(format!(
                "The exec plugin {command} of the kubeconfig's {place} always asks somebody (interactiveMode: Always)"
            ))
            .with_help("Preflight asks nobody: use a plugin, or settings of it, that need no terminal"));
        }
        Some(other) => {
            return Err(AccessError::new(format!(
                "The exec plugin {command} of the kubeconfig's {place} has the interactiveMode {other:?}"
            ))
            .with_help("Known are Never, IfAvailable and Always"));
        }
    }
    let told = exec.provide_cluster_info.unwrap_or_default();
    Ok(ExecPlugin {
        command: command.clone(),
        args: exec.args.clone().unwrap_or_default(),
        env: exec.env.iter().flatten().map(|it| (it.name.clone(), it.value.clone())).collect(),
        api_version,
        install_hint: given(exec.install_hint.clone()),
        cluster: if told { Some(cluster_info(cluster, place)?) } else { None },
        time_limit: options.exec_timeout,
    })
}

/// `spec.cluster` of ExecCredential, for plugins that want to know the cluster.
fn cluster_info(cluster: &ClusterEntry, place: &str) -> Result<Value, AccessError> {
    let mut info = json!({"server": cluster.server});
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            info[key] = value;
        }
    };
    let what = format!("certificate-authority of {place}'s cluster");
    let pem = data_or_file(
        &what,
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
    )?;
    put(
        "certificate-authority-data",
        pem.map(|pem| base64::engine::general_purpose::STANDARD.encode(pem).into()),
    );
    put("tls-server-name", given(cluster.tls_server_name.clone()).map(Value::from));
    put("insecure-skip-tls-verify", cluster.insecure_skip_tls_verify.filter(|skip| *skip).map(Value::from));
    put("proxy-url", given(cluster.proxy_url.clone()).map(Value::from));
    let extension = cluster.extensions.iter().flatten().find(|extension| extension.name == EXEC_EXTENSION);
    put("config", extension.and_then(|extension| extension.extension.clone()));
    Ok(info)
}

/// The server's URL without credentials. Without a scheme it is https where anything about TLS is set, else http.
fn server_url(text: &str, secure: bool, place: &str) -> Result<Uri, AccessError> {
    let malformed =
        || AccessError::new(format!("server of the kubeconfig's {place} is not an http or https URL"));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (if secure { "https" } else { "http" }.to_owned(), text),
    };
    if scheme != "https" && scheme != "http" {
        return Err(malformed());
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let uri: Uri = format!("{scheme}://{host}/{path}").parse().map_err(|_| malformed())?;
    if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(malformed());
    }
    Ok(uri)
}

fn told(url: &Uri) -> String {
    url.to_string().trim_end_matches('/').to_owned()
}
