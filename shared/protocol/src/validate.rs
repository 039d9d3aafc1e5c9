//! Second pass over a value: every constraint of the model, in AWS's words (spec 9.3), all violations in one answer.

use std::fmt::Write as _;

use serde_json::Value;

use crate::constraint::{Measure, all_texts, broken, broken_scalar, broken_text};
use crate::model::{Member, Model, ShapeId, ShapeKind};

/// Bytes of violations after which the walk ends. A body of 4 MB can hold millions of them, and the answer, escaped, has
/// to pass through a function's 6 MB. An answer cut short ends in `; ...` and counts what it lists.
pub const VIOLATION_BYTES_MAX: usize = 512 * 1024;

/// Characters of an offending value that are quoted, for the same reason. Above the model's longest limit on a value
/// that is quoted (5000), so that breaking a limit by one is still quoted whole.
pub const QUOTED_CHARS_MAX: usize = 8192;

/// Checks an admitted `value` against `shape`; `Err` is the text of the ValidationException.
///
/// The order is the model's: members as listed, a value's length before its pattern before its enum. Lengths count
/// Unicode code points, as Smithy defines them (Java's own count of UTF-16 units is larger beyond the basic plane).
pub(crate) fn validate(model: &Model, shape: ShapeId, value: &Value) -> Result<(), String> {
    let mut walk = Walk { model, bytes: 0, items: Vec::new() };
    walk.value(shape, value, "", false);
    match walk.items.len() {
        0 => Ok(()),
        count => {
            let plural = if count == 1 { "" } else { "s" };
            let more = if walk.is_full() { "; ..." } else { "" };
            Err(format!("{count} validation error{plural} detected: {}{more}", walk.items.join("; ")))
        }
    }
}

struct Walk<'m> {
    model: &'m Model,
    bytes: usize,
    items: Vec<String>,
}

impl Walk<'_> {
    fn value(&mut self, shape: ShapeId, value: &Value, path: &str, secret: bool) {
        let model = self.model;
        let shape = model.shape(shape);
        let secret = secret || shape.sensitive;
        match (&shape.kind, value) {
            (ShapeKind::Structure(members), Value::Object(given)) => {
                for member in members {
                    self.member(member, given.get(&member.name), path, secret);
                }
            }
            (ShapeKind::List(member), Value::Array(items)) => {
                for text in broken(&shape.constraints, Measure::Length(items.len())) {
                    self.report(path, "at", &text);
                }
                self.items_of(*member, items, path, secret);
            }
            (ShapeKind::Map { key, value: entry }, Value::Object(entries)) => {
                for text in broken(&shape.constraints, Measure::Length(entries.len())) {
                    self.report(path, "at", &text);
                }
                self.entries_of(*key, *entry, entries, path, secret);
            }
            _ => {
                let subject = if secret { "at".to_owned() } else { format!("'{}' at", quoted(value)) };
                for text in broken_scalar(&shape.constraints, value) {
                    self.report(path, &subject, &text);
                }
            }
        }
    }

    fn member(&mut self, member: &Member, value: Option<&Value>, path: &str, secret: bool) {
        match value {
            Some(value) => self.value(member.shape, value, &join(path, &member.name), secret),
            None if member.required => self.report(&join(path, &member.name), "null at", NOT_NULL),
            None => {}
        }
    }

    fn items_of(&mut self, member: ShapeId, items: &[Value], path: &str, secret: bool) {
        for (index, item) in items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            let place = || join(path, &format!("{}.member", index + 1));
            if item.is_null() {
                self.report(&place(), "null at", NOT_NULL);
            } else if !self.is_scalar(member) {
                self.value(member, item, &place(), secret);
            }
        }
        if let Some(texts) = self.first_broken(member, items.iter()) {
            self.report(path, "at", &format!("Member must satisfy constraint: [{texts}]"));
        }
    }

    fn entries_of(
        &mut self,
        key: ShapeId,
        entry: ShapeId,
        entries: &serde_json::Map<String, Value>,
        path: &str,
        secret: bool,
    ) {
        let keys = &self.model.shape(key).constraints;
        if entries.keys().any(|key| !broken_text(keys, key).is_empty()) {
            self.report(path, "at", &format!("Map keys must satisfy constraint: [{}]", all_texts(keys, false)));
        }
        for (name, value) in entries {
            if self.is_full() {
                return;
            }
            let place = || join(path, &format!("{}.member", cut(name)));
            if value.is_null() {
                self.report(&place(), "null at", NOT_NULL);
            } else if !self.is_scalar(entry) {
                self.value(entry, value, &place(), secret);
            }
        }
        if let Some(texts) = self.first_broken(entry, entries.values()) {
            self.report(path, "at", &format!("Map value must satisfy constraint: [{texts}]"));
        }
    }

    /// All constraints of scalar `shape` when one of `values` breaks one: AWS names the set, not the offender.
    fn first_broken<'v>(&self, shape: ShapeId, mut values: impl Iterator<Item = &'v Value>) -> Option<String> {
        let constraints = &self.model.shape(shape).constraints;
        let numeric = matches!(self.model.shape(shape).kind, ShapeKind::Integer);
        (self.is_scalar(shape) && values.any(|value| !broken_scalar(constraints, value).is_empty()))
            .then(|| all_texts(constraints, numeric))
    }

    fn is_scalar(&self, shape: ShapeId) -> bool {
        !matches!(self.model.shape(shape).kind, ShapeKind::Structure(_) | ShapeKind::List(_) | ShapeKind::Map { .. })
    }

    fn report(&mut self, path: &str, subject: &str, constraint: &str) {
        if !self.is_full() {
            let item = format!("Value {subject} '{path}' failed to satisfy constraint: {constraint}");
            self.bytes += item.len();
            self.items.push(item);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= VIOLATION_BYTES_MAX
    }
}

const NOT_NULL: &str = "Member must not be null";

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => {
            let mut cut = text[..end].to_owned();
            // Writing to a string cannot fail.
            let _ = write!(cut, "... ({} characters)", text.chars().count());
            cut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use serde_json::json;

    fn refusal(operation: Operation, value: &Value) -> Option<String> {
        validate(operation.service().model(), operation.shapes().input, value).err()
    }

    #[test]
    fn all_violations_come_in_one_answer_in_the_models_order() {
        let text = refusal(Operation::GetPipeline, &json!({"name": "a b", "version": 0})).unwrap();
        assert_eq!(
            text,
            "2 validation errors detected: \
             Value 'a b' at 'name' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+; \
             Value '0' at 'version' failed to satisfy constraint: \
             Member must have value greater than or equal to 1"
        );
    }

    #[test]
    fn a_missing_member_is_null() {
        assert_eq!(
            refusal(Operation::GetPipeline, &json!({})).unwrap(),
            "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"
        );
    }

    #[test]
    fn map_values_and_list_members_name_the_set_of_constraints() {
        let action_type = json!({"category": "Build", "owner": "Custom", "provider": "p", "version": "1"});
        let text = refusal(Operation::PollForJobs, &json!({"actionTypeId": action_type, "queryParam": {"": "a b"}}));
        assert_eq!(
            text.unwrap(),
            "2 validation errors detected: \
             Value at 'queryParam' failed to satisfy constraint: Map keys must satisfy constraint: \
             [Member must have length less than or equal to 50, Member must have length greater than or equal to 1]; \
             Value at 'queryParam' failed to satisfy constraint: Map value must satisfy constraint: \
             [Member must have length less than or equal to 50, Member must have length greater than or equal to 1, \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+]"
        );
        let arn = "arn:aws:codepipeline:eu-west-1:111122223333:shop";
        let text = refusal(Operation::UntagResource, &json!({"resourceArn": arn, "tagKeys": ["", null]}));
        assert_eq!(
            text.unwrap(),
            "2 validation errors detected: \
             Value null at 'tagKeys.2.member' failed to satisfy constraint: Member must not be null; \
             Value at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: \
             [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"
        );
    }

    #[test]
    fn lengths_count_code_points() {
        let summary = |summary: String| {
            json!({"pipelineName": "p", "stageName": "s", "actionName": "a",
                   "token": "11111111-1111-1111-1111-111111111111",
                   "result": {"summary": summary, "status": "Approved"}})
        };
        assert_eq!(refusal(Operation::PutApprovalResult, &summary("🦀".repeat(512))), None);
        assert!(refusal(Operation::PutApprovalResult, &summary("🦀".repeat(513))).is_some());
    }

    #[test]
    fn the_answer_stays_small_whatever_the_input() {
        let tags: Vec<Value> = (0..100_000).map(|_| json!({})).collect();
        let arn = "arn:aws:codepipeline:eu-west-1:111122223333:shop";
        let text = refusal(Operation::TagResource, &json!({"resourceArn": arn, "tags": tags})).unwrap();
        assert!(text.ends_with("; ...") && text.len() < VIOLATION_BYTES_MAX + 100_000);
        let text = refusal(Operation::GetPipeline, &json!({"name": "x".repeat(500_000)})).unwrap();
        assert!(text.contains("... (500000 characters)' at 'name'") && text.len() < 20_000);
    }
}
