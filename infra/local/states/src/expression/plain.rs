//! Expressions that only look a value up, as most do: found without an evaluator, which would first have to be given
//! everything that can be seen.

use serde_json::{Map, Value};

/// Words of JSONata that are no names.
const WORDS: [&str; 6] = ["and", "or", "in", "true", "false", "null"];

/// `$name.member.member`, or `$name.member = 'text'`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    root: String,
    members: Vec<String>,
    equals: Option<String>,
}

/// What a lookup found.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Value(Value),
    /// JSONata's undefined.
    Nothing,
    /// JSONata has rules of its own for this: ask the evaluator.
    Unclear,
}

/// What expressions of one state can see.
pub(crate) struct Seen<'a> {
    pub(crate) input: &'a Value,
    pub(crate) result: Option<&'a Value>,
    pub(crate) error: Option<Value>,
    /// `Execution.Input` of the context object.
    pub(crate) execution_input: &'a Value,
    /// Makes the whole context object.
    pub(crate) context: Box<dyn Fn() -> Value + 'a>,
    /// Variables, those of outer scopes first.
    pub(crate) variables: Vec<&'a Map<String, Value>>,
}

impl Plain {
    /// `source` as a lookup, if it is nothing else.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let (path, equals) = match source.split_once(" = ") {
            Some((path, text)) => {
                let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
                (path, Some(text).filter(|text| !text.contains(['\'', '\\'])).map(str::to_owned)?.into())
            }
            None => (source, None),
        };
        let mut names = path.strip_prefix('$')?.split('.').map(str::to_owned);
        let root = names.next().filter(|name| is_name(name))?;
        let members: Vec<String> = names.collect();
        members.iter().all(|name| is_name(name)).then_some(Self { root, members, equals })
    }

    pub(super) fn find(&self, seen: &Seen<'_>) -> Found {
        let found = match (self.root.as_str(), self.members.as_slice()) {
            ("states", [part, rest @ ..]) => match (part.as_str(), rest) {
                ("input", rest) => walk(Some(seen.input), rest),
                ("result", rest) => walk(seen.result, rest),
                ("errorOutput", rest) => walk(seen.error.as_ref(), rest),
                ("context", [execution, input, rest @ ..]) if execution == "Execution" && input == "Input" => {
                    walk(Some(seen.execution_input), rest)
                }
                ("context", rest) => walk(Some(&(seen.context)()), rest),
                _ => Found::Nothing,
            },
            ("states", []) => Found::Unclear,
            (name, rest) => match seen.variables.iter().rev().find_map(|variables| variables.get(name)) {
                Some(value) => walk(Some(value), rest),
                // A function has a name as well.
                None => Found::Unclear,
            },
        };
        match (&self.equals, found) {
            (Some(text), Found::Value(value)) => Found::Value(Value::Bool(value == *text.as_str())),
            // What is not there is equal to nothing.
            (Some(_), Found::Nothing) => Found::Value(Value::Bool(false)),
            (_, found) => found,
        }
    }
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    begins && fits && !WORDS.contains(&name)
}

fn walk(from: Option<&Value>, members: &[String]) -> Found {
    let Some(mut value) = from else { return Found::Nothing };
    for name in members {
        match value {
            Value::Object(object) => match object.get(name) {
                Some(member) => value = member,
                None => return Found::Nothing,
            },
            // Of an array, the members of its items.
            _ => return Found::Unclear,
        }
    }
    // An array of one may be the one.
    if value.is_array() || has_fraction(value) { Found::Unclear } else { Found::Value(value.clone()) }
}

/// Whether there is a number with a fraction in it, which may be that of a whole one.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_are_told_from_everything_else() {
        for source in ["$states.input", "$states.input.a.b_2", "$attempt", "$states.input.next = 'Wait'", "$x = ''"] {
            assert!(Plain::parse(source).is_some(), "{source}");
        }
        for source in [
            "states.input",
            "$",
            "$.a",
            "$states.input.a[0]",
            "$states.input.in",
            "$count($x)",
            "$x + 1",
            "$x = 1",
            "$x = 'it\\'s'",
            "$x = 'a' = 'b'",
            "$x = 'a' and $y = 'b'",
            "$x.`a b`",
            "$x.*",
            "$x.**.a",
        ] {
            assert_eq!(Plain::parse(source), None, "{source}");
        }
    }
}
