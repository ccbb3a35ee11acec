//! From files, folders and streams to objects.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Manifests;
use super::object::Object;
use crate::InputError;
use crate::yaml::{Node, Source, Value, parse_documents};

/// Files that `kubectl apply -f FOLDER` reads.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Files that make a folder a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

impl Manifests {
    /// The objects of a file, or of the YAML and JSON files of a folder, in the order of their names. As with
    /// `kubectl apply -f`, folders inside the folder are not read.
    ///
    /// # Errors
    /// The path does not exist, holds no manifests, is a kustomization or a Helm chart (the message names the
    /// command that renders it), or holds something that is not a Kubernetes object.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, InputError> {
        Self::from_paths(&[path.as_ref().to_owned()])
    }

    /// The objects of several files and folders. `-` is standard input.
    ///
    /// # Errors
    /// As [`Self::from_path`]; also if standard input is named twice.
    pub fn from_paths(paths: &[PathBuf]) -> Result<Self, InputError> {
        let mut objects = Vec::new();
        let mut stdin_read = false;
        for path in paths {
            if path.as_os_str() == "-" {
                if std::mem::replace(&mut stdin_read, true) {
                    return Err(InputError::new("standard input (-) is given twice"));
                }
                objects.extend(read_stream("<stdin>", std::io::stdin().lock())?);
            } else if path.is_dir() {
                objects.extend(read_folder(path)?);
            } else {
                objects.extend(read_file(path)?);
            }
        }
        Ok(Self::of(objects))
    }

    /// The objects of a stream, under a name for messages.
    ///
    /// # Errors
    /// As [`Self::from_path`].
    pub fn from_reader(name: &str, reader: impl Read) -> Result<Self, InputError> {
        read_stream(name, reader).map(Self::of)
    }

    /// The objects of a text, under a name for messages.
    ///
    /// # Errors
    /// As [`Self::from_path`].
    pub fn parse(name: &str, text: &str) -> Result<Self, InputError> {
        objects_of(&Source::new(name, text)).map(Self::of)
    }
}

fn read_folder(folder: &Path) -> Result<Vec<Arc<Object>>, InputError> {
    let shown = folder.display();
    if KUSTOMIZATIONS.iter().any(|name| folder.join(name).is_file()) {
        return Err(kustomization(folder));
    }
    if folder.join("Chart.yaml").is_file() {
        return Err(chart(folder));
    }
    let entries = std::fs::read_dir(folder)
        .map_err(|error| InputError::new(format!("cannot read the folder {shown}: {error}")))?;
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = entry
            .map_err(|error| InputError::new(format!("cannot read the folder {shown}: {error}")))?
            .path();
        if path.is_dir() {
            folders.push(path);
        } else if path
            .extension()
            .is_some_and(|end| ENDINGS.iter().any(|known| end.eq_ignore_ascii_case(known)))
        {
            files.push(path);
        }
    }
    if files.is_empty() {
        let error = InputError::new(format!("there are no manifests (*.yaml, *.yml, *.json) in {shown}"));
        folders.sort();
        return Err(match folders.first() {
            Some(inner) => error.help(format!(
                "folders inside are not read, as with kubectl: name them, for example -f {}",
                inner.display()
            )),
            None => error.help("name a file or folder with manifests, or `-` for standard input"),
        });
    }
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        objects.extend(read_file(&file)?);
    }
    if objects.is_empty() {
        return Err(no_objects(&shown.to_string()));
    }
    Ok(objects)
}

fn read_file(path: &Path) -> Result<Vec<Arc<Object>>, InputError> {
    let shown = path.display().to_string();
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if KUSTOMIZATIONS.contains(&name) => return Err(kustomization(folder)),
        Some("Chart.yaml") => return Err(chart(folder)),
        _ => {}
    }
    let file = std::fs::File::open(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let why = if missing { "there is no such file or folder".to_owned() } else { error.to_string() };
        InputError::new(format!("cannot read {shown}: {why}"))
    })?;
    read_stream(&shown, file)
}

fn read_stream(name: &str, reader: impl Read) -> Result<Vec<Arc<Object>>, InputError> {
    let cap = crate::yaml::TEXT_CAP;
    let mut bytes = Vec::new();
    // One byte beyond the cap tells that it was passed.
    reader
        .take(cap as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| InputError::new(format!("cannot read {name}: {error}")))?;
    let text = crate::yaml::text_of(name, bytes)?;
    let objects = objects_of(&Source::new(name, text))?;
    if objects.is_empty() {
        return Err(no_objects(name));
    }
    Ok(objects)
}

fn no_objects(name: &str) -> InputError {
    let error = InputError::new(format!("there are no Kubernetes objects in {name}"));
    if name == "<stdin>" {
        return error
            .help("pipe manifests into it (helm template … | preflight -f -), or name a file or folder");
    }
    error.help("check that it is the file that you meant, and that what renders it printed something")
}

fn objects_of(source: &Arc<Source>) -> Result<Vec<Arc<Object>>, InputError> {
    let mut objects = Vec::new();
    for root in parse_documents(source)? {
        add(root, source, &mut objects)?;
    }
    Ok(objects)
}

/// Adds an object, or the items of a list.
fn add(root: Node, source: &Arc<Source>, objects: &mut Vec<Arc<Object>>) -> Result<(), InputError> {
    let is_list = root.text("kind").is_some_and(|kind| kind == "List" || kind.ends_with("List"))
        && root.get("items").is_some_and(|items| matches!(items.value, Value::Seq(_) | Value::Null))
        && root.get("metadata").is_none_or(|metadata| metadata.get("name").is_none());
    if !is_list {
        objects.push(Arc::new(Object::new(root, source)?));
        return Ok(());
    }
    let Value::Map(entries) = root.value else {
        return Ok(());
    };
    for (key, node) in entries {
        if let ("items", Value::Seq(items)) = (key.name.as_str(), node.value) {
            for item in items {
                add(item, source, objects)?;
            }
        }
    }
    Ok(())
}

fn kustomization(folder: &Path) -> InputError {
    let folder = folder.display();
    InputError::new(format!("{folder} is a kustomization, which has to be rendered first"))
        .help(format!("kubectl kustomize {folder} | preflight -f -"))
}

fn chart(folder: &Path) -> InputError {
    let folder = folder.display();
    InputError::new(format!("{folder} is a Helm chart, which has to be rendered first"))
        .help(format!("helm template RELEASE {folder} | preflight -f -"))
}

/// Objects that stand twice: the index of the later one, and of the first.
pub(super) fn duplicates(objects: &[Arc<Object>]) -> Vec<(usize, usize)> {
    let mut seen: std::collections::HashMap<_, usize> = std::collections::HashMap::new();
    let mut found = Vec::new();
    let mut told = HashSet::new();
    for (at, object) in objects.iter().enumerate() {
        let Some(name) = object.name() else { continue };
        let key = (object.group(), object.kind(), object.namespace(), name);
        match seen.get(&key) {
            Some(first) if told.insert(at) => found.push((at, *first)),
            Some(_) => {}
            None => {
                seen.insert(key, at);
            }
        }
    }
    found
}

impl Manifests {
    /// Objects that are written twice: each later one, and the first.
    pub fn duplicates(&self) -> impl Iterator<Item = (&Object, &Object)> {
        let pairs = duplicates(&self.objects);
        pairs.into_iter().map(|(later, first)| (&*self.objects[later], &*self.objects[first]))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn help(folder: &Path) -> String {
        Manifests::from_path(folder).unwrap_err().advice().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names_and_not_what_is_inside_its_folders() {
        let second = CONFIG_MAP.replace("name: a", "name: b");
        let folder =
            folder(&[("b.yml", &second), ("a.yaml", CONFIG_MAP), ("c.txt", "x"), ("d/e.yaml", CONFIG_MAP)]);
        let manifests = Manifests::from_path(folder.path()).unwrap();
        let names: Vec<_> = manifests.objects().iter().filter_map(|object| object.name()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn what_has_to_be_rendered_names_the_command_that_renders_it() {
        let kustomization = folder(&[("kustomization.yaml", "resources: []")]);
        assert!(help(kustomization.path()).starts_with("kubectl kustomize "));
        assert!(help(&kustomization.path().join("kustomization.yaml")).starts_with("kubectl kustomize "));
        let chart = folder(&[("Chart.yaml", "name: x"), ("templates/a.yaml", "{{ x }}")]);
        assert!(help(chart.path()).starts_with("helm template "));
        let template = Manifests::parse("a.yaml", "metadata:\n  name: {{ .Release.Name }}-x\n").unwrap_err();
        assert!(template.advice().unwrap().contains("helm template"), "{template:?}");
    }

    #[test]
    fn empty_input_is_an_error_with_a_remedy() {
        assert!(help(folder(&[]).path()).contains("standard input"));
        assert!(help(folder(&[("x/a.yaml", CONFIG_MAP)]).path()).contains("/x"));
        assert!(Manifests::from_reader("<stdin>", &b""[..]).unwrap_err().advice().unwrap().contains("pipe"));
        assert!(Manifests::from_path("/does/not/exist").unwrap_err().to_string().contains("no such file"));
    }

    #[test]
    fn lists_are_unpacked_and_keep_their_places() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: a\n";
        let manifests = Manifests::parse("a.yaml", text).unwrap();
        assert_eq!(manifests.objects()[0].place_of_name().line, 7);
        let crd = "apiVersion: x/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {}\n";
        assert_eq!(Manifests::parse("a.yaml", crd).unwrap().objects()[0].kind(), "AllowList");
    }

    #[test]
    fn the_digest_is_of_what_is_said() {
        let digest = |text| Manifests::parse("x", text).unwrap().digest();
        assert_eq!(
            digest(CONFIG_MAP),
            digest("# c\nkind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\n")
        );
        assert_ne!(digest(CONFIG_MAP), digest(&CONFIG_MAP.replace("name: a", "name: b")));
    }
}
