//! Which cluster is meant, and what is wrong with a kubeconfig.

use std::path::Path;

use super::*;

fn error(text: &str, options: AccessOptions) -> (String, String) {
    let error = resolved(text, options).err().unwrap();
    (error.to_string(), error.help().unwrap_or_default().to_owned())
}

fn write(directory: &Path, name: &str, cluster: &str, context: Option<&str>) {
    let text = json!({
        "current-context": context,
        "contexts": [{"name": name, "context": {"cluster": "k", "namespace": name}}],
        "clusters": [{"name": "k", "cluster": {"server": cluster}}, {"name": name, "cluster": {"server": cluster}}],
        "users": null,
    });
    std::fs::write(directory.join(name), text.to_string()).unwrap();
}

#[test]
fn several_files_are_merged_and_the_first_counts() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "one", "https://one", None);
    write(directory.path(), "two", "https://two", Some("two"));
    let missing = directory.path().join("missing");
    let list = std::env::join_paths([&missing, &directory.path().join("one"), &directory.path().join("two")])
        .unwrap();
    let mut surroundings = surroundings();
    surroundings.variables.insert("KUBECONFIG".into(), list);
    let access = resolve::resolve(&AccessOptions::default(), &surroundings).unwrap();
    // The context of the second file names the cluster "k", of which the first file's counts.
    assert_eq!(
        (access.server(), access.context(), access.namespace()),
        ("https://one", Some("two"), Some("two"))
    );

    surroundings.variables.insert("KUBECONFIG".into(), missing.clone().into());
    let error = resolve::resolve(&AccessOptions::default(), &surroundings).unwrap_err();
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    assert!(error.help().unwrap().contains("KUBECONFIG"));
}

#[test]
fn the_flag_counts_before_the_environment_and_that_before_the_home() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join(".kube");
    std::fs::create_dir(&home).unwrap();
    write(&home, "config", "https://home", Some("config"));
    write(directory.path(), "flag", "https://flag", Some("flag"));
    write(directory.path(), "variable", "https://variable", Some("variable"));
    let mut surroundings = surroundings();
    surroundings.home = Some(directory.path().to_owned());
    let server = |options: &AccessOptions, surroundings: &Surroundings| {
        resolve::resolve(options, surroundings).unwrap().server().to_owned()
    };
    assert_eq!(server(&AccessOptions::default(), &surroundings), "https://home");
    surroundings.variables.insert("KUBECONFIG".into(), directory.path().join("variable").into());
    assert_eq!(server(&AccessOptions::default(), &surroundings), "https://variable");
    let flag = AccessOptions { kubeconfig: Some(directory.path().join("flag")), ..AccessOptions::default() };
    assert_eq!(server(&flag, &surroundings), "https://flag");
}

#[test]
fn inside_a_pod_the_service_account_leads_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let mut surroundings = surroundings();
    let error = resolve::resolve(&AccessOptions::default(), &surroundings).unwrap_err();
    assert!(error.to_string().starts_with("There is no kubeconfig"), "{error}");

    surroundings.service_account = directory.path().to_owned();
    surroundings.variables.insert("KUBERNETES_SERVICE_HOST".into(), "fd00::1".into());
    surroundings.variables.insert("KUBERNETES_SERVICE_PORT".into(), "443".into());
    std::fs::write(directory.path().join("ca.crt"), Authority::new().0.pem()).unwrap();
    std::fs::write(directory.path().join("namespace"), "shop\n").unwrap();
    let error = resolve::resolve(&AccessOptions::default(), &surroundings).unwrap_err();
    assert!(error.to_string().ends_with("there is no such file"), "{error}");
    std::fs::write(directory.path().join("token"), "t").unwrap();
    let access = resolve::resolve(&AccessOptions::default(), &surroundings).unwrap();
    assert_eq!(
        (access.server(), access.context(), access.namespace()),
        ("https://[fd00::1]:443", None, Some("shop"))
    );
    let options = AccessOptions { context: Some("c".into()), ..AccessOptions::default() };
    assert!(resolve::resolve(&options, &surroundings).unwrap_err().to_string().contains("no context \"c\""));
}

#[test]
fn an_unknown_context_lists_those_there_are_and_suggests_the_nearest() {
    let text = json!({"contexts": [
        {"name": "production-eu", "context": {"cluster": "k"}},
        {"name": "staging", "context": {"cluster": "k"}},
    ]})
    .to_string();
    let options = |context: &str| AccessOptions { context: Some(context.into()), ..AccessOptions::default() };
    let (message, help) = error(&text, options("prodution-eu"));
    assert!(message.starts_with("There is no context \"prodution-eu\" in "), "{message}");
    assert_eq!(help, "Did you mean \"production-eu\"? There are: \"production-eu\", \"staging\"");
    assert_eq!(error(&text, options("zzz")).1, "There are: \"production-eu\", \"staging\"");
    let (message, help) = error(&text, AccessOptions::default());
    assert!(message.contains("has no current context") && help.contains("staging"), "{message} {help}");
    assert!(error(&text, options("staging")).0.contains("names the cluster \"k\", which is not in"));
}

#[test]
fn malformed_yaml_tells_the_place_and_no_value() {
    let (message, _) = error("users:\n- name: u\n  user: s3cret-token\n", AccessOptions::default());
    assert!(message.contains("(line 3, column 9)"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
    let (message, _) = error("users: [\n  token: s3cret: x }\n", AccessOptions::default());
    assert!(message.contains("(line ") && !message.contains("s3cret"), "{message}");
}

#[test]
fn what_cannot_be_used_is_told_without_its_value() {
    let server = || json!({"server": "https://host"});
    let exec = |more: Value| {
        let mut exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "aws"});
        for (key, value) in more.as_object().unwrap() {
            exec[key] = value.clone();
        }
        json!({"exec": exec})
    };
    let certificate = rcgen::generate_simple_self_signed([]).unwrap().cert.pem();
    for (cluster, user, words) in [
        (json!({}), json!({}), "has no server"),
        (json!({"server": "ftp://host"}), json!({}), "not an http or https URL"),
        (json!({"server": "https://"}), json!({}), "not an http or https URL"),
        (
            json!({"server": "https://h", "certificate-authority-data": "s3cret!"}),
            json!({}),
            "not valid base64",
        ),
        (
            json!({"server": "https://h", "certificate-authority-data": base64("s3cret")}),
            json!({}),
            "no PEM block",
        ),
        (
            json!({"server": "https://h", "certificate-authority": "/s/ca"}),
            json!({}),
            "/s/ca: there is no such file",
        ),
        (
            json!({"server": "https://h", "certificate-authority-data": base64(&certificate), "insecure-skip-tls-verify": true}),
            json!({}),
            "both certificate-authority and insecure",
        ),
        (
            json!({"server": "https://h", "proxy-url": "ftp://u:s3cret@p"}),
            json!({}),
            "http, https and socks5",
        ),
        (json!({"server": "https://h", "tls-server-name": "no name"}), json!({}), "tls-server-name"),
        (server(), json!({"client-key-data": base64("s3cret")}), "no client-certificate"),
        (server(), json!({"client-certificate-data": base64(&certificate)}), "no client-key"),
        (
            server(),
            json!({"client-certificate-data": base64(&certificate), "client-key-data": base64("s3cret")}),
            "holds no PEM private key",
        ),
        (server(), json!({"token": "s3cret", "username": "jane"}), "only one of the two"),
        (
            server(),
            json!({"auth-provider": {"name": "oidc", "config": {"id-token": "s3cret"}}}),
            "auth-provider \"oidc\"",
        ),
        (server(), exec(json!({"command": ""})), "no command"),
        (server(), exec(json!({"interactiveMode": "Always"})), "interactiveMode: Always"),
        (server(), exec(json!({"interactiveMode": "Perhaps"})), "\"Perhaps\""),
        (server(), exec(json!({"apiVersion": "client.authentication.k8s.io/v1alpha1"})), "v1alpha1"),
        (server(), json!({"as-groups": ["dev"]}), "but no user"),
        (server(), json!({"as": "a\nb"}), "Nobody can be impersonated"),
    ] {
        let (message, help) = error(&kubeconfig(cluster, user), AccessOptions::default());
        assert!(message.contains(words), "{message}");
        assert!(!format!("{message} {help}").contains("s3cret"), "{message} {help}");
    }
}

#[test]
fn the_server_is_told_without_credentials_and_a_scheme_is_guessed_as_kubectl_does() {
    for (server, more, told) in [
        ("https://jane:s3cret@host:6443/k8s/c-1/", json!({}), "https://host:6443/k8s/c-1"),
        ("host:8080", json!({}), "http://host:8080"),
        ("host:6443", json!({"insecure-skip-tls-verify": true}), "https://host:6443"),
        ("HTTPS://host", json!({}), "https://host"),
    ] {
        let mut cluster = json!({"server": server});
        for (key, value) in more.as_object().unwrap() {
            cluster[key] = value.clone();
        }
        let access = access(cluster, json!({"token": "s3cret"}));
        assert_eq!(access.server(), told);
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}

#[test]
fn paths_are_relative_to_the_kubeconfig() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), Authority::new().0.pem()).unwrap();
    let path = directory.path().join("config");
    let cluster = json!({"server": "https://host", "certificate-authority": "ca.pem"});
    std::fs::write(&path, kubeconfig(cluster, json!({}))).unwrap();
    let options = AccessOptions { kubeconfig: Some(path), ..AccessOptions::default() };
    assert!(resolve::resolve(&options, &surroundings()).is_ok());
}
