//! Conditions on a payload.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;
use serde_json_path::JsonPath;

use super::WebhookFilter;

/// A payload that a webhook passes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterMiss {
    /// Which filter, from 1.
    pub filter: usize,
    /// A placeholder of it that the target action's configuration cannot fill.
    pub unknown_key: Option<String>,
}

/// Whether any filter has a placeholder, so that the target action's configuration is needed to judge.
pub fn has_placeholders(filters: &[WebhookFilter]) -> bool {
    filters.iter().filter_map(|filter| filter.match_equals.as_deref()).any(|text| !placeholders(text).is_empty())
}

/// Whether `payload` passes every filter, with placeholders filled from `configuration`.
///
/// A filter passes if one of the values its path selects is, as text, what it must equal: strings as they are, any
/// other value as compact JSON.
///
/// # Errors
/// The first filter that does not pass.
pub fn judge_filters(
    filters: &[WebhookFilter],
    payload: &Value,
    configuration: &BTreeMap<String, String>,
) -> Result<(), FilterMiss> {
    for (at, filter) in filters.iter().enumerate() {
        let expected = filter.match_equals.as_deref().map(|text| fill(text, configuration));
        // Paths were checked when the webhook was put.
        let selected = parse_path(&filter.json_path).map(|path| path.query(payload).all()).unwrap_or_default();
        let passes = match &expected {
            None => !selected.is_empty(),
            Some((expected, _)) => selected.iter().any(|value| text_of(value) == *expected),
        };
        if !passes {
            let unknown_key = expected.and_then(|(_, unknown)| unknown);
            return Err(FilterMiss { filter: at + 1, unknown_key });
        }
    }
    Ok(())
}

/// Reads a JSONPath (RFC 9535). One `..`, and `$` only at its beginning, keep what a path looks at in proportion to the
/// payload, which a stranger may have sent.
pub(super) fn parse_path(path: &str) -> Result<JsonPath, String> {
    if path.matches("..").count() > 1 || path.rfind('$').is_some_and(|at| at > 0) {
        return Err(format!(
            "The jsonPath '{path}' asks too much: use '..' once at the most, and '$' only where the path begins"
        ));
    }
    JsonPath::parse(path).map_err(|error| {
        format!("The jsonPath '{path}' is not one: {error}. Write it as $.ref or $.repository['full_name']")
    })
}

fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// `text` with its placeholders filled, and the first that could not be, which stays as it is.
fn fill(text: &str, configuration: &BTreeMap<String, String>) -> (String, Option<String>) {
    let (mut filled, mut unknown, mut end) = (String::new(), None, 0);
    for (at, key) in placeholders(text) {
        let Some(value) = configuration.get(key) else {
            unknown.get_or_insert_with(|| key.to_owned());
            continue;
        };
        filled.push_str(&text[end..at]);
        filled.push_str(value);
        end = at + key.len() + 2;
    }
    filled.push_str(&text[end..]);
    (filled, unknown)
}

/// Every `{Key}` in `text`: where it begins, and the key.
fn placeholders(text: &str) -> Vec<(usize, &str)> {
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    text.match_indices('{')
        .filter_map(|(at, _)| Some((at, text[at + 1..].split_once('}')?.0)))
        .filter(|(_, key)| is_key(key))
        .collect()
}
