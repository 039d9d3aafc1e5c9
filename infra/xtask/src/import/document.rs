//! JSON and YAML as one kind of value, CloudFormation's short tags (`!Ref`) as the functions they stand for.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use yaml_rust2::{
    Event, Yaml,
    parser::{MarkedEventReceiver, Parser, Tag},
    scanner::{Marker, TScalarStyle},
};

/// Reads one document.
pub(super) fn read(text: &str) -> anyhow::Result<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut builder = Builder::default();
    Parser::new_from_str(text).load(&mut builder, false).context("the file is neither JSON nor YAML")?;
    match (builder.problem, builder.document) {
        (Some(problem), _) => bail!(problem),
        (None, Some(document)) => Ok(document),
        (None, None) => bail!("the file is empty"),
    }
}

/// A list or map that is being read.
struct Open {
    value: Value,
    /// Key of a map whose value comes next.
    key: Option<String>,
    tag: Option<Tag>,
    anchor: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Value>,
    document: Option<Value>,
    problem: Option<String>,
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = if style == TScalarStyle::Plain && tag.is_none() { plain(text) } else { json!(text) };
                self.close(value, tag.as_ref(), anchor, mark);
            }
            Event::SequenceStart(anchor, tag) => self.open.push(Open { value: json!([]), key: None, tag, anchor }),
            Event::MappingStart(anchor, tag) => self.open.push(Open { value: json!({}), key: None, tag, anchor }),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { value, tag, anchor, .. }) = self.open.pop() {
                    self.close(value, tag.as_ref(), anchor, mark);
                }
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().unwrap_or_default();
                self.place(value, mark);
            }
            _ => {}
        }
    }
}

impl Builder {
    /// A value is whole.
    fn close(&mut self, value: Value, tag: Option<&Tag>, anchor: usize, mark: Marker) {
        let value = tagged(value, tag);
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        self.place(value, mark);
    }

    fn place(&mut self, value: Value, mark: Marker) {
        let Some(open) = self.open.last_mut() else {
            self.document = Some(value);
            return;
        };
        match &mut open.value {
            Value::Array(items) => items.push(value),
            Value::Object(members) => match (open.key.take(), value) {
                (None, Value::String(key)) => open.key = Some(key),
                (None, key @ (Value::Number(_) | Value::Bool(_))) => open.key = Some(key.to_string()),
                (None, _) => self.problem = Some(format!("line {}: a key is no text", mark.line())),
                (Some(key), value) => drop(members.insert(key, value)),
            },
            _ => unreachable!("only lists and maps are opened"),
        }
    }
}

/// A scalar without quotes. Numbers that would be written otherwise (`012`, `1.10`) stay the text they are: in a pipeline
/// they are account ids and versions.
fn plain(text: String) -> Value {
    match Yaml::from_str(&text) {
        Yaml::Boolean(value) => json!(value),
        Yaml::Null => Value::Null,
        Yaml::Integer(value) if value.to_string() == text => json!(value),
        _ => json!(text),
    }
}

/// `!Sub x` as `{"Fn::Sub": x}`; tags of YAML itself change nothing.
fn tagged(value: Value, tag: Option<&Tag>) -> Value {
    let Some(tag) = tag.filter(|tag| tag.handle == "!") else {
        return value;
    };
    let function = match tag.suffix.as_str() {
        name @ ("Ref" | "Condition") => name.to_owned(),
        name => format!("Fn::{name}"),
    };
    Value::Object(Map::from_iter([(function, value)]))
}
