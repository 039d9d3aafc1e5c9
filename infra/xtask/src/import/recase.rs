//! CloudFormation's spelling as the API's.

use anyhow::Context;
use serde_json::{Map, Value, json};

/// The members that are numbers; every other scalar of a pipeline is text.
const NUMBERS: &[&str] = &["runOrder", "timeoutInMinutes"];

/// `value` with its members in camelCase. Keys below `Configuration` are the provider's, and those of `ArtifactStores` are
/// regions, so they stay.
pub(super) fn members(value: &Value) -> anyhow::Result<Value> {
    match value {
        Value::Object(members_in) => {
            let member = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    "Configuration" => configuration(value),
                    "ArtifactStores" => stores(value),
                    _ => members(value),
                };
                let name = camel(name);
                let value = if NUMBERS.contains(&name.as_str()) { number(&value?, &name) } else { value };
                Ok((name, value?))
            };
            members_in.iter().map(member).collect::<anyhow::Result<Map<_, _>>>().map(Value::Object)
        }
        Value::Array(items) => items.iter().map(members).collect::<anyhow::Result<Vec<_>>>().map(Value::Array),
        scalar => Ok(json!(text(scalar))),
    }
}

fn stores(value: &Value) -> anyhow::Result<Value> {
    let regions = value.as_object().context("ArtifactStores is no map")?;
    let store = |(region, store): (&String, &Value)| Ok((region.clone(), members(store)?));
    regions.iter().map(store).collect::<anyhow::Result<Map<_, _>>>().map(Value::Object)
}

/// Values of a configuration are text, which for lists and maps is JSON.
fn configuration(value: &Value) -> anyhow::Result<Value> {
    let settings = value.as_object().context("Configuration is no map")?;
    Ok(settings.iter().map(|(key, value)| (key.clone(), json!(text(value)))).collect::<Map<_, _>>().into())
}

fn number(value: &Value, name: &str) -> anyhow::Result<Value> {
    let number: i64 = text(value).parse().with_context(|| format!("{name} is no number but {value}"))?;
    Ok(json!(number))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn camel(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}
