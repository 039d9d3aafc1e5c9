//! AWS Query answers: XML.

use serde_json::Value;

use super::present;
use crate::{error::ApiError, operations::Operation, schema::Shape};

/// The content type of answers.
pub(super) const CONTENT_TYPE: &str = "text/xml";

/// The namespace of answers.
const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// Writes an answer.
pub(super) fn answer(operation: &Operation, output: &Value, request_id: &str) -> Vec<u8> {
    let mut body = String::new();
    let name = operation.name;
    if let Some(shape) = operation.output {
        element(&mut body, &format!("{name}Result"), shape, output);
    }
    format!(
        "<{name}Response xmlns=\"{NAMESPACE}\">{body}<ResponseMetadata><RequestId>{request_id}</RequestId>\
         </ResponseMetadata></{name}Response>"
    )
    .into_bytes()
}

/// Writes a refusal.
pub(super) fn error(error: &ApiError, request_id: &str) -> Vec<u8> {
    let fault = if error.status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        error.code,
        escaped(&error.message)
    )
    .into_bytes()
}

fn element(out: &mut String, name: &str, shape: &'static Shape, value: &Value) {
    out.push_str(&format!("<{name}>"));
    match (shape, value) {
        (Shape::Structure(_), _) => {
            for (name, shape, value) in present(shape, value) {
                element(out, name, shape, value);
            }
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            for value in items {
                element(out, "member", item, value);
            }
        }
        (Shape::Map(item), Value::Object(members)) => {
            for (key, value) in members {
                out.push_str(&format!("<entry><key>{}</key>", escaped(key)));
                element(out, "value", item, value);
                out.push_str("</entry>");
            }
        }
        (_, Value::String(text)) => out.push_str(&escaped(text)),
        (_, other) => out.push_str(&other.to_string()),
    }
    out.push_str(&format!("</{name}>"));
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#13;"),
            // XML has no way to write these.
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}
