//! This machine's own credentials for a registry: found, shown and told, and never taken for the pod's.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use support::{Answer, Folder, Server, api_server, base64, kubeconfig, preflight, shown};

const OWN: &str = "user:own-password";
const WRONG: &str = "user:another-password";

const CONFIG: &str = r#"{"os": "linux", "architecture": "amd64", "config": {"User": "1000"}}"#;
/// The SHA-256 of `CONFIG`.
const CONFIG_DIGEST: &str = "sha256:3148a0fbaefced2249a6f7071d334fbe9de8dbee4bbf5fc4c13c0ca64cf45710";

/// A registry that shows its one image to whom `OWN` belongs, and nothing to anybody else.
fn registry(path: &str, head: &str) -> Answer {
    let said = |code: u16, word: &str| {
        let words = json!({"errors": [{"code": word, "message": "so it is"}]});
        (code, "www-authenticate: Basic realm=\"r\"\r\n".to_owned(), words.to_string())
    };
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": CONFIG_DIGEST});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [],
    });
    match path.strip_prefix("/v2/") {
        _ if shown(head) != format!("Basic {}", base64(OWN)) => said(401, "UNAUTHORIZED"),
        Some("") => (200, String::new(), "{}".to_owned()),
        Some("shop/web/manifests/1") => (200, String::new(), manifest.to_string()),
        Some(other) if other == format!("shop/web/blobs/{CONFIG_DIGEST}") => {
            (200, String::new(), CONFIG.to_owned())
        }
        _ => said(404, "MANIFEST_UNKNOWN"),
    }
}

/// A pod whose image is at such a registry, and a cluster.
struct Setting {
    registry: Server,
    api: Server,
    folder: Folder,
    images: Value,
    entry: Value,
    release: Vec<Value>,
    variables: Vec<(&'static str, String)>,
}

impl Setting {
    fn new() -> Self {
        let registry = Server::start(registry);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"containers": [{"name": "web", "image": format!("{}/shop/web:1", registry.address)}]},
        });
        Self {
            registry,
            api: Server::start(|path, _| api_server(path, &[])),
            folder: Folder::new(),
            images: json!({}),
            entry: json!({"plain_http": true}),
            release: vec![pod],
            variables: Vec::new(),
        }
    }

    fn host(&self) -> String {
        self.registry.address.to_string()
    }

    /// What `docker login` leaves for these.
    fn signed_in(&self, login: &str) -> String {
        json!({"auths": {self.host(): {"auth": base64(login)}}}).to_string()
    }

    /// A file, and the variable that leads to it or to its folder.
    fn file(mut self, name: &str, text: &str, variable: &'static str, leads_to: &str) -> Self {
        self.folder.write(name, text);
        self.variables.push((variable, self.folder.path(leads_to).display().to_string()));
        self
    }

    fn docker_config(self, text: &str) -> Self {
        self.file("docker/config.json", text, "DOCKER_CONFIG", "docker")
    }

    fn with_login(self, login: &str) -> Self {
        let text = self.signed_in(login);
        self.docker_config(&text)
    }

    fn images(mut self, settings: Value) -> Self {
        self.images = settings;
        self
    }

    fn nodes(mut self, credentials: &str) -> Self {
        self.entry["node_credentials"] = json!(credentials);
        self
    }

    /// The pod pulls with a Secret that comes with the release.
    fn pull_secret(mut self, login: &str) -> Self {
        self.release[0]["spec"]["imagePullSecrets"] = json!([{"name": "pull"}]);
        let config = self.signed_in(login);
        self.release.push(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "shop"},
            "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config},
        }));
        self
    }

    /// A program that keeps credentials and gives this one; it leaves a file where it was started.
    fn helper(self, login: &str) -> Self {
        let (user, secret) = login.split_once(':').unwrap();
        let answer = json!({"ServerURL": self.host(), "Username": user, "Secret": secret});
        let started = self.folder.path("started").display().to_string();
        let script = format!("#!/bin/sh\ntouch '{started}'\necho '{answer}'\n");
        let program = self.folder.write("bin/docker-credential-keeper", &script);
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.folder.path("bin").display());
        let text = json!({"credHelpers": {self.host(): "keeper"}}).to_string();
        let mut setting = self.docker_config(&text);
        setting.variables.push(("PATH", path));
        setting
    }

    fn helper_was_started(&self) -> bool {
        self.folder.path("started").exists()
    }

    fn was_shown(&self, login: &str) -> bool {
        self.registry.was_shown(&base64(login))
    }

    /// Runs the command, and gives the report.
    fn report(&self) -> Report {
        let entries = json!({self.host(): self.entry});
        let environment = json!({"environments": {"e": {"registries": entries, "images": self.images}}});
        let release: Vec<_> = self.release.iter().map(Value::to_string).collect();
        let server = format!("http://{}", self.api.address);
        let output = preflight(&self.folder.path("home"))
            .args(["-e", "e", "--check", "registry-health", "-o", "json"])
            .args(["-f", &self.folder.write("release.yaml", &release.join("\n---\n"))])
            .args(["--config", &self.folder.write("environments.yaml", &environment.to_string())])
            .args(["--kubeconfig", &self.folder.write("kubeconfig", &kubeconfig(&server, &json!({})))])
            .envs(self.variables.iter().cloned())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = String::from_utf8(output.stdout).unwrap();
        for text in [&told, &report] {
            // The command that makes a pull secret has a flag for it, with a placeholder.
            let text = text.replace("--docker-password=PASSWORD", "");
            assert!(!text.contains("-password"), "a password is told: {text}");
        }
        Report(serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report} {told}")))
    }
}

struct Report(Value);

impl Report {
    /// What came of a rule of `registry-health`.
    fn outcome(&self, rule: &str) -> &str {
        let id = format!("registry-health/{rule}");
        let checks = self.0["checks"].as_array().unwrap();
        let mut rules = checks.iter().flat_map(|check| check["rules"].as_array().unwrap());
        rules.find(|one| one["rule"] == id).unwrap()["outcome"].as_str().unwrap()
    }

    fn decision(&self) -> &str {
        self.0["verdict"]["decision"].as_str().unwrap()
    }

    fn is(&self, decision: &str, outcomes: &[(&str, &str)]) {
        for (rule, outcome) in outcomes {
            assert_eq!(self.outcome(rule), *outcome, "{rule} in {:#}", self.0);
        }
        assert_eq!(self.decision(), decision, "{:#}", self.0);
    }
}

const SEEN: (&str, &str) = ("platform", "passed");

#[test]
fn accepted_they_show_the_image() {
    let setting = Setting::new().with_login(OWN).nodes("assumed");
    let outcomes = [("own-credentials", "passed"), ("image-missing", "passed"), SEEN];
    setting.report().is("go", &outcomes);
}

#[test]
fn they_are_found_where_docker_and_podman_leave_them() {
    for (name, variable, leads_to) in [
        ("auth.json", "REGISTRY_AUTH_FILE", "auth.json"),
        ("docker/config.json", "DOCKER_CONFIG", "docker"),
        ("run/containers/auth.json", "XDG_RUNTIME_DIR", "run"),
        ("own/.docker/config.json", "HOME", "own"),
    ] {
        let setting = Setting::new().nodes("assumed");
        let text = setting.signed_in(OWN);
        let setting = setting.file(name, &text, variable, leads_to);
        setting.report().is("go", &[("own-credentials", "passed"), SEEN]);
    }
}

#[test]
fn refused_they_are_a_warning() {
    let setting = Setting::new().with_login(WRONG).nodes("assumed");
    let report = setting.report();
    assert!(setting.was_shown(WRONG));
    // Nobody has seen the image.
    report.is(
        "unknown",
        &[("own-credentials", "warning"), ("image-missing", "unknown"), ("platform", "skipped")],
    );
}

#[test]
fn a_broken_file_is_a_warning() {
    for text in ["{\"auths\": ", "{\"auths\": []}", "no"] {
        let setting = Setting::new().docker_config(text).nodes("assumed").pull_secret(OWN);
        setting.report().is("go", &[("own-credentials", "warning"), ("pull-permission", "passed"), SEEN]);
    }
}

#[test]
fn without_any_nothing_is_said_of_them() {
    let setting = Setting::new().nodes("assumed").pull_secret(OWN);
    setting.report().is("go", &[("own-credentials", "not-applicable"), ("pull-permission", "passed"), SEEN]);
}

#[test]
fn they_are_not_shown_where_the_environment_says_so() {
    let setting = Setting::new().with_login(OWN).images(json!({"no_own_credentials": true})).nodes("assumed");
    setting.report().is("unknown", &[("own-credentials", "not-applicable"), ("image-missing", "unknown")]);
    assert!(!setting.was_shown(OWN), "they were shown");
    let broken =
        Setting::new().docker_config("no").images(json!({"no_own_credentials": true})).nodes("assumed");
    assert_eq!(broken.report().outcome("own-credentials"), "not-applicable");
}

#[test]
fn programs_that_keep_them_are_started_only_where_the_environment_says_so() {
    let setting = Setting::new().helper(OWN).nodes("assumed");
    setting.report().is("unknown", &[("own-credentials", "not-applicable"), ("image-missing", "unknown")]);
    assert!(!setting.helper_was_started() && !setting.was_shown(OWN), "it was started");
    let setting = Setting::new().helper(OWN).images(json!({"credential_helpers": true})).nodes("assumed");
    setting.report().is("go", &[("own-credentials", "passed"), SEEN]);
    assert!(setting.helper_was_started());
    let setting = Setting::new().helper(WRONG).images(json!({"credential_helpers": true})).nodes("assumed");
    setting.report().is("unknown", &[("own-credentials", "warning")]);
    let both = json!({"credential_helpers": true, "no_own_credentials": true});
    let setting = Setting::new().helper(OWN).images(both).nodes("assumed");
    assert_eq!(setting.report().outcome("own-credentials"), "not-applicable");
    assert!(!setting.helper_was_started(), "it was started");
}

/// The pod pulls with nothing, or with what is refused; that this machine may pull changes nothing.
#[test]
fn they_never_stand_in_for_the_pods() {
    let own = ("own-credentials", "passed");
    let may = |outcome| [own, SEEN, ("image-missing", "passed"), ("pull-permission", outcome)];
    Setting::new().with_login(OWN).report().is("unknown", &may("unknown"));
    Setting::new().with_login(OWN).nodes("none").report().is("no-go", &may("failed"));
    Setting::new().with_login(OWN).nodes("assumed").report().is("go", &may("passed"));
    Setting::new().with_login(OWN).pull_secret(WRONG).report().is("no-go", &may("failed"));
    Setting::new().with_login(OWN).pull_secret(OWN).report().is("go", &may("passed"));
}

/// And what the pod may pull, this machine need not.
#[test]
fn refused_they_do_not_keep_the_pod_from_pulling() {
    let setting = Setting::new().with_login(WRONG).pull_secret(OWN);
    setting.report().is("go", &[("own-credentials", "warning"), ("pull-permission", "passed"), SEEN]);
}
