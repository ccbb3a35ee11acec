//! What users meet first: bad input, exit codes, where output goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn storefront(below: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/storefront").join(below).display().to_string()
}

fn preflight(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_preflight"))
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Bad input: exit code 2, nothing on standard output, and all of these words on standard error.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = preflight(arguments);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(code(&output), 2, "{arguments:?}: {told}");
    assert_eq!(out(&output), "", "{arguments:?}");
    // Long lines are wrapped.
    let flat = told.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat.contains(word), "{arguments:?}: no {word:?} in {told}");
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.display().to_string()
    }
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: canary-token}}]
contexts: [{name: here, context: {cluster: c, user: u}}, {name: there, context: {cluster: c, user: u}}]
";

#[test]
fn a_missing_kubeconfig_is_told() {
    refused(&["--kubeconfig", "/does/not/exist"], &["/does/not/exist"]);
    refused(&[], &["kubeconfig"]);
}

#[test]
fn an_unknown_context_names_those_there_are() {
    let folder = Folder::new(&[("config", KUBECONFIG)]);
    refused(&["--kubeconfig", &folder.path("config"), "--context", "heer"], &["heer", "here", "there"]);
}

#[test]
fn an_unknown_environment_names_those_there_are() {
    let config = storefront("environments.yaml");
    refused(
        &["-e", "producton", "--config", &config],
        &["producton", "did you mean `production`?", "dev, staging"],
    );
    refused(&["-e", "dev"], &["there is no environments.yaml", "--config"]);
    refused(&["-e", "dev", "--config", "/does/not/exist"], &["/does/not/exist"]);
}

#[test]
fn a_misspelt_key_is_told_with_its_line() {
    let folder =
        Folder::new(&[("e.yaml", "environments:\n  dev:\n    cluster_contxt: x\n"), ("config", KUBECONFIG)]);
    let arguments = ["-e", "dev", "--config", &folder.path("e.yaml"), "--kubeconfig", &folder.path("config")];
    refused(&arguments, &["unknown key `cluster_contxt`", "e.yaml:3:5", "did you mean `cluster_context`?"]);
}

#[test]
fn broken_yaml_is_told_with_its_line() {
    let folder = Folder::new(&[
        ("a.yaml", "apiVersion: v1\nkind: [\n"),
        ("t.yaml", "metadata:\n  name: {{ .Values.x }}\n"),
    ]);
    refused(&["-f", &folder.path("a.yaml")], &["not YAML", "a.yaml:"]);
    refused(&["-f", &folder.path("t.yaml")], &["helm template"]);
}

#[test]
fn an_empty_folder_and_nothing_on_standard_input_are_told() {
    let folder = Folder::new(&[]);
    refused(&["-f", &folder.path("")], &["there are no manifests"]);
    refused(&["-f", "-"], &["no Kubernetes objects in <stdin>", "helm template"]);
}

#[test]
fn what_has_to_be_rendered_names_the_command() {
    let folder = Folder::new(&[("kustomization.yaml", "resources: []")]);
    refused(&["-f", &folder.path("")], &["kubectl kustomize"]);
    let chart = Folder::new(&[("Chart.yaml", "name: x")]);
    refused(&["-f", &chart.path("")], &["helm template"]);
}

#[test]
fn unknown_checks_formats_and_flags_are_told() {
    let snapshot = storefront("cluster.snapshot.yaml");
    refused(
        &["--snapshot", &snapshot, "--check", "cluster-conectivity"],
        &["did you mean `cluster-connectivity`?"],
    );
    refused(&["--snapshot", &snapshot, "-o", "xml"], &["terminal, short, json, yaml"]);
    refused(&["--no-such-flag"], &["--no-such-flag"]);
    refused(&["--snapshot", "/does/not/exist"], &["/does/not/exist"]);
    refused(&["--timeout", "soon", "--snapshot", &snapshot], &["soon"]);
}

fn with_example(more: &[&str]) -> Output {
    let (manifests, snapshot) = (storefront("manifests"), storefront("cluster.snapshot.yaml"));
    let arguments = ["-f", &manifests, "-e", "dev", "--snapshot", &snapshot];
    preflight(&[&arguments, more].concat())
}

#[test]
fn the_bundled_example_may_go() {
    let output = with_example(&[]);
    let text = out(&output);
    assert_eq!(code(&output), 0, "{text}");
    assert!(text.starts_with("GO, 1 warning, 1 check set aside, 5 rules set aside\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "there is no terminal, so there is no colour");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_format_tells_the_same_decision() {
    let folder = Folder::new(&[]);
    let file = folder.path("report.json");
    let output = with_example(&["-o", "short", "-o", "json", "-o", "yaml", "-o", &format!("json={file}")]);
    let text = out(&output);
    assert!(
        text.starts_with("GO,") && text.contains("\"decision\": \"go\"") && text.contains("decision: go"),
        "{text}"
    );
    let report: preflight_core::Report = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(
        (report.kind.as_str(), report.api_version.as_str()),
        ("PreflightReport", "preflight.ameide.io/v1")
    );
    assert!(report.facts.inputs_digest.starts_with("sha256:") && report.facts.cluster.uid.is_some());
}

#[test]
fn exit_codes_are_those_that_are_documented() {
    let snapshot = storefront("cluster.snapshot.yaml");
    let folder = Folder::new(&[
        (
            "missing.yaml",
            &CONFIG_MAP.replace("{name: a}", "{name: a, namespace: storefront, labels: {x: '${Y}'}}"),
        ),
        ("unknown.yaml", CONFIG_MAP),
    ]);
    // A variable is left over: no-go. The snapshot does not hold that ConfigMap: unknown.
    assert_eq!(code(&preflight(&["-f", &folder.path("missing.yaml"), "--snapshot", &snapshot])), 3);
    assert_eq!(code(&preflight(&["-f", &folder.path("unknown.yaml"), "--snapshot", &snapshot])), 5);
    assert_eq!(
        code(&preflight(&["-f", &folder.path("missing.yaml"), "--snapshot", &snapshot, "--report-only"])),
        0
    );
    for format in ["json", "yaml", "short"] {
        let output = preflight(&["-f", &folder.path("missing.yaml"), "--snapshot", &snapshot, "-o", format]);
        assert_eq!(code(&output), 3, "{format}");
    }
}

#[test]
fn an_api_server_that_is_down_is_no_go_and_tells_no_token() {
    let folder = Folder::new(&[("config", KUBECONFIG), ("a.yaml", CONFIG_MAP)]);
    let output = preflight(&["-f", &folder.path("a.yaml"), "--kubeconfig", &folder.path("config"), "-vvv"]);
    let text = out(&output);
    assert_eq!(code(&output), 3, "{text}");
    assert!(text.starts_with("NO-GO: cluster-connectivity: Cannot connect to https://127.0.0.1:1"), "{text}");
    assert!(text.contains("kubectl cluster-info --context here"), "{text}");
    let everything = text + &String::from_utf8_lossy(&output.stderr);
    assert!(!everything.contains("canary-token"));
}

#[test]
fn several_clusters_give_a_list_and_the_worst_exit_code() {
    let folder = Folder::new(&[("config", KUBECONFIG), ("a.yaml", CONFIG_MAP)]);
    let (manifests, kubeconfig) = (folder.path("a.yaml"), folder.path("config"));
    let both = ["-f", &manifests, "--kubeconfig", &kubeconfig, "--context", "here", "--context", "there"];
    let output = preflight(&[&both[..], &["-o", "json"]].concat());
    assert_eq!(code(&output), 3);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (list["kind"].as_str(), list["items"].as_array().unwrap().len()),
        (Some("PreflightReportList"), 2)
    );
    assert_eq!(list["items"][1]["cluster"]["context"], "there");
    let text = out(&preflight(&both));
    assert!(text.starts_with("== here\nNO-GO") && text.contains("\n== there\nNO-GO"), "{text}");
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_file() {
    let folder = Folder::new(&[
        ("e.yaml", "environments: {dev: {namespace: of-file}}\n"),
        ("s.yaml", "{apiVersion: preflight.ameide.io/v1, kind: Snapshot}\n"),
        ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: elsewhere}\n"),
    ]);
    let (config, snapshot, manifests) = (folder.path("e.yaml"), folder.path("s.yaml"), folder.path("a.yaml"));
    let asked = |flag: &[&str], variable: Option<&str>| {
        let fixed =
            ["-f", &manifests, "-e", "dev", "--config", &config, "--snapshot", &snapshot, "-o", "short"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_preflight"));
        command.args(fixed).args(flag).env_remove("PREFLIGHT_NAMESPACE");
        if let Some(value) = variable {
            command.env("PREFLIGHT_NAMESPACE", value);
        }
        out(&command.output().unwrap())
    };
    assert!(asked(&[], None).contains("of-file is asked for"));
    assert!(asked(&[], Some("of-variable")).contains("of-variable is asked for"));
    assert!(asked(&["-n", "of-flag"], Some("of-variable")).contains("of-flag is asked for"));
}

#[test]
fn bad_input_loses_no_earlier_report() {
    let folder = Folder::new(&[("report.json", "earlier")]);
    let report = folder.path("report.json");
    refused(&["-f", "/does/not/exist", "-o", &format!("json={report}")], &["/does/not/exist"]);
    assert_eq!(fs::read_to_string(&report).unwrap(), "earlier");
    with_example(&["-o", &format!("json={report}")]);
    #[cfg(unix)]
    assert_eq!(code(&with_example(&["-o", "json=/dev/null"])), 0);
    assert!(fs::read_to_string(&report).unwrap().ends_with("}\n"));
}

#[test]
fn what_is_skipped_is_told() {
    let output = with_example(&["--skip", "manifests"]);
    assert!(
        out(&output).starts_with("GO, 1 warning, 2 checks set aside, 5 rules set aside\n"),
        "{}",
        out(&output)
    );
}

#[test]
fn rules_are_explained_offline() {
    let output = preflight(&["explain", "cluster-connectivity/namespace-missing"]);
    assert!(code(&output) == 0 && out(&output).contains("kubectl get namespaces"));
    assert!(out(&preflight(&["explain", "namespace_missing"])).contains("namespace-missing"));
    refused(&["explain", "nonsense"], &["preflight list --rules"]);
}

#[test]
fn the_role_holds_reads_and_reviews_alone() {
    let output = preflight(&["rbac", "-f", &storefront("manifests")]);
    let text = out(&output);
    assert!(text.contains("kind: ClusterRole") && text.contains("[\"statefulsets\"]"), "{text}");
    let paths = text.lines().find(|line| line.contains("nonResourceURLs")).unwrap_or_default();
    assert!(paths.contains("\"/openapi/v3\", \"/openapi/v3/*\""), "{paths}");
    for line in text.lines().filter(|line| line.contains("verbs:")) {
        assert!(
            ["[\"get\"]", "[\"list\"]", "[\"get\", \"list\"]", "[\"create\"]"]
                .iter()
                .any(|verbs| line.ends_with(verbs)),
            "{line}"
        );
    }
    let creates = text.lines().zip(text.lines().skip(1)).filter(|(_, verbs)| verbs.contains("create"));
    assert!(
        creates.clone().count() > 0 && creates.clone().all(|(resources, _)| resources.contains("reviews"))
    );
}

/// What only a registry could answer is set aside, and the verdict says so.
#[test]
fn offline_asks_no_registry() {
    let output = preflight(&[
        "-f",
        &storefront("manifests"),
        "-e",
        "staging",
        "--snapshot",
        &storefront("cluster.snapshot.yaml"),
        "--offline",
    ]);
    let text = out(&output);
    assert_eq!(code(&output), 0, "{text}");
    assert!(
        text.starts_with("GO, 1 warning, 1 check set aside, 22 rules set aside")
            && text.contains("registry-health (--offline: "),
        "{text}"
    );
}

/// Pull secrets are read by name, and only where that is asked for.
#[test]
fn an_image_that_a_layout_lacks_is_copied_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(storefront("manifests/40-web.yaml")).unwrap();
    let manifest = folder.path().join("web.yaml");
    fs::write(&manifest, text.replace("storefront/web:1.4.2", "storefront/web:99")).unwrap();
    let output = preflight(&[
        "-f",
        manifest.to_str().unwrap(),
        "-e",
        "dev",
        "--config",
        &storefront("environments.yaml"),
        "--snapshot",
        &storefront("cluster.snapshot.yaml"),
        "--check",
        "registry-health",
    ]);
    let image = "registry.example.com/storefront/web:99";
    assert_eq!(code(&output), 3, "{}", out(&output));
    assert!(out(&output).contains(&format!("{image} is not in the layout oci:images")), "{}", out(&output));
    let command = format!("skopeo copy --all docker://{image} oci:{}:{image}", storefront("images"));
    assert!(out(&output).contains(&command), "{}", out(&output));
}

#[test]
fn the_role_names_pull_secrets_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {imagePullSecrets: [{name: pull}], containers: [{name: a, image: a}]}}";
    let file = folder.path().join("pod.yaml");
    std::fs::write(&file, pod).unwrap();
    let file = file.display().to_string();
    let names = |arguments: &[&str]| out(&preflight(arguments)).contains("resourceNames: [\"pull\"]");
    assert!(names(&["rbac", "-f", &file, "--pull-secrets"]));
    assert!(!names(&["rbac", "-f", &file]));
}

/// What an environment says of registries and operators is looked at before anything is asked.
#[test]
fn mistakes_about_registries_and_operators_are_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("environments.yaml");
    for (entry, told) in [
        ("registries: {r.example.com: {ca: gone.pem}}", "gone.pem cannot be read"),
        ("registries: {r.example.com: {layout: images}}", "neither oci:FOLDER nor oci-archive:FILE"),
        ("registries: {r.example.com: {layout: \"oci:gone\"}}", "index.json cannot be read"),
        ("registries: {\"https://r.example.com\": {}}", "is not the host of a registry"),
        ("registries: {r.example.com: {node_credentials: maybe}}", "assumed"),
        ("images: {registries_conf: gone.conf}", "gone.conf cannot be read"),
        ("images: {read_pull_secret: true}", "read_pull_secrets"),
        ("operators: {a: {namespace: ops}}", "0 ways instead of one"),
        ("operators: {a: {deployment: d}}", "namespace"),
        ("operators: {a: {namespace: ops, deployment: \"Foo Bar\"}}", "is no name of an object"),
        ("registries: {r.example.com: {push: [\"shop/web:1\"]}}", "is no repository of r.example.com"),
        ("registries: {r.example.com: {push: [SHOP/web]}}", "is no repository of r.example.com"),
    ] {
        std::fs::write(&file, format!("environments:\n  e:\n    {entry}\n")).unwrap();
        let config = file.display().to_string();
        let arguments = ["-e", "e", "--config", &config, "--snapshot", &storefront("cluster.snapshot.yaml")];
        let output = preflight(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 2, "{entry}: {text}");
        assert!(text.contains(told) && text.contains("environments.yaml:3"), "{entry}: {text}");
    }
}

#[test]
fn schemas_are_json() {
    for of in ["environments", "report"] {
        let schema: serde_json::Value = serde_json::from_slice(&preflight(&["schema", of]).stdout).unwrap();
        assert!(schema["$schema"].is_string(), "{of}");
    }
}

/// What the checks read of environments is in the schema, so that editors do not underline it.
/// `preflight list | head -1`.
#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    for arguments in [&["schema", "report"][..], &["list", "--rules"], &["completions", "bash"], &["rbac"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut process = Command::new(env!("CARGO_BIN_EXE_preflight"));
        let process = process.args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let ended = process.wait_with_output().unwrap();
        assert_eq!((code(&ended), String::from_utf8_lossy(&ended.stderr)), (0, "".into()), "{arguments:?}");
    }
}

#[test]
fn the_schema_has_the_sections_of_the_checks() {
    let schema: serde_json::Value =
        serde_json::from_slice(&preflight(&["schema", "environments"]).stdout).unwrap();
    let keys = &schema["$defs"]["Environment"]["properties"];
    for section in ["registries", "images", "operators", "security", "apply"] {
        assert!(keys[section].is_object(), "{section}");
    }
}

/// Ctrl-C: what is known is told, and what is not is unknown.
#[cfg(unix)]
#[test]
fn an_interrupted_run_reports_what_it_knows() {
    use std::io::Read;

    // It accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let kubeconfig = KUBECONFIG.replace("https://127.0.0.1:1", &format!("http://127.0.0.1:{port}"));
    let folder = Folder::new(&[("config", &kubeconfig), ("a.yaml", CONFIG_MAP)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_preflight"))
        .args(["-f", &folder.path("a.yaml"), "--kubeconfig", &folder.path("config")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once it has connected it is waiting for the answer.
    let connection = silent.accept().unwrap();
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let code = child.wait().unwrap().code();
    drop(connection);
    assert_eq!(code, Some(5), "{text}");
    assert!(text.starts_with("UNKNOWN:") && text.contains("interrupted (SIGINT)"), "{text}");
    assert!(text.contains("✓ manifests") || text.contains("manifests passed"), "what was done stays: {text}");
}
