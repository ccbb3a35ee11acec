//! The files of scenarios.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files of a folder and of its folders, with their texts.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            let text = std::fs::read_to_string(&path)?;
            all.push((path, text));
        }
    }
    Ok(all)
}

/// The documents of a YAML file.
///
/// # Errors
/// It cannot be read.
pub fn documents(path: &Path) -> io::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path)?;
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let all: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    Ok(all.into_iter().filter(|value| !value.is_null()).map(as_sent).collect())
}

/// Whole numbers without their fraction, as kubectl sends them.
#[must_use]
pub fn as_sent(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|value| number.is_f64() && value.fract() == 0.0);
            whole
                .and_then(|value| format!("{value:.0}").parse::<i64>().ok())
                .map_or(number.into(), Value::from)
        }
        Value::Array(items) => items.into_iter().map(as_sent).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, as_sent(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// The documents of the YAML files of a folder, in the order of their names.
///
/// # Errors
/// One cannot be read.
pub fn folder_documents(folder: &Path) -> io::Result<Vec<Value>> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(documents(&file)?);
    }
    Ok(all)
}
