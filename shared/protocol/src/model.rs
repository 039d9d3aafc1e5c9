//! The service models: which shapes exist and what each demands.
//!
//! The tables under `model/` hold facts only (names, types, constraints); `cargo xtask model` writes AWS's one.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde::Deserialize;

use crate::pattern::whole_value;

/// A service: its operations, and the shapes they speak of.
pub(crate) struct Model {
    /// Prefix of `X-Amz-Target`, and the service in an RPC v2 path.
    pub(crate) target: String,
    /// Namespace of `__type` in RPC v2 errors.
    pub(crate) namespace: String,
    /// By name.
    pub(crate) operations: HashMap<String, OperationShapes>,
    shapes: Vec<Shape>,
}

/// Input and output of one operation.
pub(crate) struct OperationShapes {
    pub(crate) input: ShapeId,
    /// Absent: the answer has no body.
    pub(crate) output: Option<ShapeId>,
    /// Names of the declared errors.
    pub(crate) errors: Vec<String>,
}

/// Place of a shape in its model. Only a loaded model makes one, so looking it up cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeId(usize);

/// A type and its constraints.
pub(crate) struct Shape {
    pub(crate) kind: ShapeKind,
    pub(crate) constraints: Constraints,
    /// Its value must not be quoted in an error.
    pub(crate) sensitive: bool,
}

/// What a value looks like.
pub(crate) enum ShapeKind {
    Structure(Vec<Member>),
    List(ShapeId),
    Map { key: ShapeId, value: ShapeId },
    String,
    Integer,
    Boolean,
    Timestamp,
}

/// One member of a structure, in the model's order.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) shape: ShapeId,
    pub(crate) required: bool,
}

/// What the model demands of a value beyond its type.
#[derive(Default)]
pub(crate) struct Constraints {
    /// Least length, or least value of a number.
    pub(crate) min: Option<i64>,
    /// Greatest length, or greatest value of a number.
    pub(crate) max: Option<i64>,
    /// The pattern as the model spells it, and as this process matches it.
    pub(crate) pattern: Option<(String, Regex)>,
    /// Allowed values; empty means any.
    pub(crate) values: Vec<String>,
}

impl Model {
    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0]
    }
}

/// CodePipeline's own operations.
pub(crate) static CODEPIPELINE: LazyLock<Model> =
    LazyLock::new(|| embedded(include_str!("../model/codepipeline-2015-07-09.json")));

/// Lastgood's operations beside them.
pub(crate) static LASTGOOD: LazyLock<Model> =
    LazyLock::new(|| embedded(include_str!("../model/lastgood-2026-12-01.json")));

fn embedded(text: &str) -> Model {
    load(text).expect("the embedded tables are fixed at build time and a test loads both")
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("not a model table")]
    Form(#[from] serde_json::Error),
    #[error("shape {0} is named but not defined")]
    Undefined(String),
    #[error("shape {shape}: {reason}")]
    Shape { shape: String, reason: String },
}

#[derive(Deserialize)]
struct RawModel {
    target: String,
    namespace: String,
    operations: HashMap<String, RawOperation>,
    shapes: HashMap<String, RawShape>,
}

#[derive(Deserialize)]
struct RawOperation {
    input: String,
    output: Option<String>,
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    members: Vec<(String, String)>,
    #[serde(default)]
    required: Vec<String>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    #[serde(rename = "enum", default)]
    values: Vec<String>,
    #[serde(default)]
    sensitive: bool,
}

fn load(text: &str) -> Result<Model, LoadError> {
    let raw: RawModel = serde_json::from_str(text)?;
    let ids: HashMap<&str, ShapeId> =
        raw.shapes.keys().enumerate().map(|(place, name)| (name.as_str(), ShapeId(place))).collect();
    let find = |name: &str| ids.get(name).copied().ok_or_else(|| LoadError::Undefined(name.to_owned()));
    let shapes = raw.shapes.iter().map(|(name, shape)| resolve(name, shape, &find)).collect::<Result<_, _>>()?;
    let mut operations = HashMap::new();
    for (name, operation) in &raw.operations {
        for error in &operation.errors {
            find(error)?;
        }
        let output = operation.output.as_deref().map(&find).transpose()?;
        let shapes = OperationShapes { input: find(&operation.input)?, output, errors: operation.errors.clone() };
        operations.insert(name.clone(), shapes);
    }
    Ok(Model { target: raw.target, namespace: raw.namespace, operations, shapes })
}

fn resolve(name: &str, raw: &RawShape, find: &impl Fn(&str) -> Result<ShapeId, LoadError>) -> Result<Shape, LoadError> {
    let fault = |reason: &str| LoadError::Shape { shape: name.to_owned(), reason: reason.to_owned() };
    let part = |part: &Option<String>, what: &str| match part {
        Some(part) => find(part),
        None => Err(fault(&format!("a {} needs {what:?}", raw.kind))),
    };
    let kind = match raw.kind.as_str() {
        "structure" => ShapeKind::Structure(
            raw.members
                .iter()
                .map(|(member, shape)| {
                    let required = raw.required.contains(member);
                    Ok(Member { name: member.clone(), shape: find(shape)?, required })
                })
                .collect::<Result<_, LoadError>>()?,
        ),
        "list" => ShapeKind::List(part(&raw.member, "member")?),
        "map" => ShapeKind::Map { key: part(&raw.key, "key")?, value: part(&raw.value, "value")? },
        "string" => ShapeKind::String,
        "integer" => ShapeKind::Integer,
        "boolean" => ShapeKind::Boolean,
        "timestamp" => ShapeKind::Timestamp,
        other => return Err(fault(&format!("unknown type {other:?}"))),
    };
    let pattern = match &raw.pattern {
        Some(pattern) => {
            let regex = whole_value(pattern).map_err(|error| fault(&error.to_string()))?;
            Some((pattern.clone(), regex))
        }
        None => None,
    };
    let constraints = Constraints { min: raw.min, max: raw.max, pattern, values: raw.values.clone() };
    Ok(Shape { kind, constraints, sensitive: raw.sensitive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_load_and_every_pattern_compiles() {
        let codepipeline = load(include_str!("../model/codepipeline-2015-07-09.json")).unwrap();
        assert_eq!((codepipeline.operations.len(), codepipeline.shapes.len()), (44, 442));
        let patterns = codepipeline.shapes.iter().filter(|shape| shape.constraints.pattern.is_some()).count();
        assert_eq!(patterns, 34);
        let lastgood = load(include_str!("../model/lastgood-2026-12-01.json")).unwrap();
        assert!(lastgood.operations.contains_key("ListRollbackCandidates"));
    }

    #[test]
    fn a_shape_that_is_not_defined_is_refused_by_name() {
        let text = r#"{"target": "T", "namespace": "n", "shapes": {},
                       "operations": {"Get": {"input": "GetInput", "errors": []}}}"#;
        assert_eq!(load(text).err().unwrap().to_string(), "shape GetInput is named but not defined");
    }

    #[test]
    fn a_list_without_a_member_is_refused() {
        let text = r#"{"target": "T", "namespace": "n", "operations": {}, "shapes": {"L": {"type": "list"}}}"#;
        assert_eq!(load(text).err().unwrap().to_string(), "shape L: a list needs \"member\"");
    }
}
