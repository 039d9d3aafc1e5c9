//! `cargo xtask model <service-2.json>`: the facts of AWS's service model, as the compact table crate `protocol` embeds.
//!
//! The input is botocore's `codepipeline/2015-07-09/service-2.json`, unpacked. The output keeps names, types and
//! constraints, one line per operation and shape, and drops every text. Same input, same bytes.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

/// Reads botocore's service model at `service_model` and rewrites the table in `shared/protocol/model`.
///
/// # Errors
/// When the file cannot be read, is not a botocore service model, or uses a shape type `protocol` does not know.
pub(crate) fn run(service_model: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(service_model)
        .with_context(|| format!("read {} (unpack it first if it ends in .gz)", service_model.display()))?;
    let model: ServiceModel = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a botocore service model", service_model.display()))?;
    let target = model_folder().join(format!("{}-{}.json", model.metadata.endpoint_prefix, model.metadata.api_version));
    std::fs::write(&target, compact(&model)?).with_context(|| format!("write {}", target.display()))?;
    println!("{}: {} operations, {} shapes", target.display(), model.operations.0.len(), model.shapes.0.len());
    Ok(())
}

/// Where the tables live, found from this package's own place in the workspace.
fn model_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/protocol/model")
}

fn compact(model: &ServiceModel) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "{{")?;
    writeln!(out, "\"target\": {},", json!(model.metadata.target_prefix))?;
    let namespace = format!("com.amazonaws.{}", model.metadata.service_id.to_lowercase());
    writeln!(out, "\"namespace\": {},", json!(namespace))?;
    let operations = model.operations.0.iter().map(|(name, operation)| Ok((name, operation.line())));
    section(&mut out, "operations", operations, ",")?;
    let shapes = model.shapes.0.iter().map(|(name, shape)| {
        let line = shape.line().with_context(|| format!("shape {name}"))?;
        Ok((name, line))
    });
    section(&mut out, "shapes", shapes, "")?;
    writeln!(out, "}}")?;
    Ok(out)
}

/// Writes `"title": {` and one line per entry, so that a change of one shape is a diff of one line.
fn section<'a>(
    out: &mut String,
    title: &str,
    entries: impl Iterator<Item = anyhow::Result<(&'a String, Value)>>,
    after: &str,
) -> anyhow::Result<()> {
    let lines: Vec<String> = entries
        .map(|entry| entry.map(|(name, line)| format!("{}: {line}", json!(name))))
        .collect::<anyhow::Result<_>>()?;
    writeln!(out, "\"{title}\": {{\n{}\n}}{after}", lines.join(",\n"))?;
    Ok(())
}

#[derive(Deserialize)]
struct ServiceModel {
    metadata: Metadata,
    operations: Ordered<OperationModel>,
    shapes: Ordered<ShapeModel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    api_version: String,
    endpoint_prefix: String,
    service_id: String,
    target_prefix: String,
}

#[derive(Deserialize)]
struct OperationModel {
    input: Option<Reference>,
    output: Option<Reference>,
    #[serde(default)]
    errors: Vec<Reference>,
}

impl OperationModel {
    fn line(&self) -> Value {
        let mut line = Map::new();
        for (key, reference) in [("input", &self.input), ("output", &self.output)] {
            if let Some(reference) = reference {
                line.insert(key.to_owned(), json!(reference.shape));
            }
        }
        let errors: Vec<&str> = self.errors.iter().map(|error| error.shape.as_str()).collect();
        line.insert("errors".to_owned(), json!(errors));
        Value::Object(line)
    }
}

#[derive(Deserialize)]
struct Reference {
    shape: String,
}

#[derive(Deserialize)]
struct ShapeModel {
    #[serde(rename = "type")]
    kind: String,
    members: Option<Ordered<Reference>>,
    #[serde(default)]
    required: Vec<String>,
    member: Option<Reference>,
    key: Option<Reference>,
    value: Option<Reference>,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    #[serde(rename = "enum")]
    values: Option<Vec<String>>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    exception: bool,
    error: Option<ErrorModel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorModel {
    http_status_code: u16,
}

impl ShapeModel {
    fn line(&self) -> anyhow::Result<Value> {
        if !matches!(self.kind.as_str(), "structure" | "list" | "map" | "string" | "integer" | "boolean" | "timestamp")
        {
            bail!("type {:?} is unknown to crate protocol: add it to ShapeKind first", self.kind);
        }
        let mut line = Map::from_iter([("type".to_owned(), json!(self.kind))]);
        if let Some(members) = &self.members {
            let pairs: Vec<[&str; 2]> =
                members.0.iter().map(|(name, reference)| [name.as_str(), reference.shape.as_str()]).collect();
            line.insert("members".to_owned(), json!(pairs));
        }
        if !self.required.is_empty() {
            line.insert("required".to_owned(), json!(self.required));
        }
        for (key, reference) in [("member", &self.member), ("key", &self.key), ("value", &self.value)] {
            if let Some(reference) = reference {
                line.insert(key.to_owned(), json!(reference.shape));
            }
        }
        for (key, bound) in [("min", self.min), ("max", self.max)] {
            if let Some(bound) = bound {
                line.insert(key.to_owned(), json!(bound));
            }
        }
        if let Some(pattern) = &self.pattern {
            line.insert("pattern".to_owned(), json!(pattern));
        }
        if let Some(values) = &self.values {
            line.insert("enum".to_owned(), json!(values));
        }
        for (key, set) in [("sensitive", self.sensitive), ("exception", self.exception)] {
            if set {
                line.insert(key.to_owned(), json!(true));
            }
        }
        if let Some(error) = &self.error {
            line.insert("status".to_owned(), json!(error.http_status_code));
        }
        Ok(Value::Object(line))
    }
}

/// A JSON object whose members keep the order of the document: validation answers in that order.
struct Ordered<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(shape: Value) -> ServiceModel {
        serde_json::from_value(json!({
            "metadata": {"apiVersion": "1", "endpointPrefix": "e", "serviceId": "Thing", "targetPrefix": "T_1"},
            "operations": {"Get": {"input": {"shape": "GetInput"}, "documentation": "dropped"}},
            "shapes": {"GetInput": shape},
        }))
        .unwrap()
    }

    #[test]
    fn keeps_facts_and_drops_texts() {
        let shape = json!({"type": "string", "min": 1, "pattern": "[a-z]+", "documentation": "dropped"});
        let text = compact(&model(shape)).unwrap();
        let table: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(table["namespace"], "com.amazonaws.thing");
        assert_eq!(table["operations"]["Get"], json!({"input": "GetInput", "errors": []}));
        assert_eq!(table["shapes"]["GetInput"], json!({"type": "string", "min": 1, "pattern": "[a-z]+"}));
    }

    #[test]
    fn members_keep_the_order_of_the_document() {
        let text = r#"{"z": {"shape": "A"}, "a": {"shape": "B"}}"#;
        let members: Ordered<Reference> = serde_json::from_str(text).unwrap();
        let names: Vec<&str> = members.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
    }

    #[test]
    fn an_unknown_type_is_refused_by_name() {
        let error = compact(&model(json!({"type": "blob"}))).unwrap_err();
        assert!(format!("{error:#}").contains("shape GetInput: type \"blob\""), "{error:#}");
    }
}
