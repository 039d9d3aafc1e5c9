//! Lastgood's own operations as botocore's clients read them: `service-2.json` and `paginators-1.json`.

use protocol::{Service, extension::API_VERSION, wire::described::OperationDescription};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::service_model::Shapes;

/// An object whose members keep their order, in which clients show them.
struct Object(Vec<(&'static str, Value)>, Vec<(String, Object)>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(facts, objects) = self;
        let facts = facts.iter().map(|(name, value)| (*name, Either::Value(value)));
        serializer
            .collect_map(facts.chain(objects.iter().map(|(name, object)| (name.as_str(), Either::Object(object)))))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Either<'a> {
    Value(&'a Value),
    Object(&'a Object),
}

pub(crate) fn service_model(operations: &[OperationDescription], shapes: &Shapes) -> String {
    let operations = operations.iter().map(|operation| (operation.name.to_owned(), operation_model(operation)));
    let shapes = shapes.lines.iter().map(|(name, line)| (name.clone(), shape_model(name, line, shapes)));
    pretty(&Object(
        vec![("version", json!("2.0"))],
        vec![
            ("metadata".to_owned(), metadata()),
            ("operations".to_owned(), Object(Vec::new(), operations.collect())),
            ("shapes".to_owned(), Object(Vec::new(), shapes.collect())),
        ],
    ))
}

/// Requests are signed for API Gateway's service, so that one file serves a deployed endpoint and the local process.
fn metadata() -> Object {
    let facts = vec![
        ("apiVersion", json!(API_VERSION)),
        ("auth", json!(["aws.auth#sigv4"])),
        ("endpointPrefix", json!("lastgood")),
        ("jsonVersion", json!("1.1")),
        ("protocol", json!("json")),
        ("protocols", json!(["json", "smithy-rpc-v2-cbor"])),
        ("serviceFullName", json!("Lastgood")),
        ("serviceId", json!("Lastgood")),
        ("signatureVersion", json!("v4")),
        ("signingName", json!("execute-api")),
        ("targetPrefix", json!(Service::Lastgood.target())),
        ("uid", json!(format!("lastgood-{API_VERSION}"))),
    ];
    Object(facts, Vec::new())
}

fn operation_model(operation: &OperationDescription) -> Object {
    let reference = |name: &str| json!({ "shape": name });
    let errors: Vec<Value> = operation.errors.iter().map(|error| reference(error.name())).collect();
    let facts = vec![
        ("name", json!(operation.name)),
        ("http", json!({"method": "POST", "requestUri": "/"})),
        ("input", reference(&(operation.input)().name)),
        ("output", reference(&(operation.output)().name)),
        ("errors", json!(errors)),
        ("documentation", json!(html(&operation.doc))),
    ];
    Object(facts, Vec::new())
}

fn shape_model(name: &str, line: &Value, shapes: &Shapes) -> Object {
    let mut facts = vec![("type", line["type"].clone())];
    for key in ["required", "min", "max", "pattern", "enum", "sensitive", "exception"] {
        if let Some(value) = line.get(key) {
            facts.push((key, value.clone()));
        }
    }
    for key in ["member", "key", "value"] {
        if let Some(part) = line.get(key) {
            facts.push((key, json!({ "shape": part })));
        }
    }
    if let Some(status) = line.get("status") {
        facts.push(("error", json!({ "httpStatusCode": status })));
    }
    if let Some(doc) = shapes.docs.get(&(name.to_owned(), None)) {
        facts.push(("documentation", json!(html(doc))));
    }
    let members = line["members"].as_array().map(|members| {
        let members = members.iter().map(|pair| {
            let member = pair[0].as_str().unwrap().to_owned();
            let mut facts = vec![("shape", pair[1].clone())];
            if let Some(doc) = shapes.docs.get(&(name.to_owned(), Some(member.clone()))) {
                facts.push(("documentation", json!(html(doc))));
            }
            (member, Object(facts, Vec::new()))
        });
        ("members".to_owned(), Object(Vec::new(), members.collect()))
    });
    Object(facts, members.into_iter().collect())
}

pub(crate) fn paginators(operations: &[OperationDescription]) -> String {
    let paged = operations.iter().filter_map(|operation| {
        let facts = vec![
            ("input_token", json!("nextToken")),
            ("limit_key", json!("maxResults")),
            ("output_token", json!("nextToken")),
            ("result_key", json!(operation.pages?)),
        ];
        Some((operation.name.to_owned(), Object(facts, Vec::new())))
    });
    pretty(&Object(Vec::new(), vec![("pagination".to_owned(), Object(Vec::new(), paged.collect()))]))
}

/// A doc comment as clients show texts: paragraphs, and code between backticks.
fn html(doc: &str) -> String {
    let escaped = doc.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut is_code = false;
    let paragraphs = escaped.split("\n\n").map(|paragraph| {
        let mut pieces = paragraph.split('`');
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            is_code = !is_code;
            text += if is_code { "<code>" } else { "</code>" };
            text += piece;
        }
        format!("<p>{}</p>", text.replace('\n', " "))
    });
    paragraphs.collect()
}

fn pretty(object: &Object) -> String {
    serde_json::to_string_pretty(object).unwrap() + "\n"
}
