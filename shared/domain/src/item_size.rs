//! What a row takes in the table.

use serde::Serialize;
use serde_json::Value;

/// DynamoDB's limit for an item (spec 10.6).
pub(crate) const ITEM_BYTES_MAX: usize = 400 * 1024;

/// What DynamoDB adds to each map or list.
const NESTED_BYTES: usize = 3;

/// Bytes that DynamoDB counts for the members of `row` as an item, rather a few too many than too few.
pub(crate) fn item_bytes<T: Serialize>(row: &T) -> usize {
    // What cannot be written down is refused where it is stored, with the reason.
    serde_json::to_value(row).map_or(0, |row| value_bytes(&row))
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        // Two digits take a byte.
        Value::Number(number) => number.to_string().len() + 1,
        Value::String(text) => text.len(),
        Value::Array(values) => NESTED_BYTES + values.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        Value::Object(members) => {
            NESTED_BYTES + members.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_those_of_the_developer_guide() {
        assert_eq!(
            item_bytes(&json!({"a": ["ab", true], "bc": "dü"})),
            3 + (1 + 1 + 3 + (1 + 2) + (1 + 1)) + (1 + 2 + 3)
        );
        assert!(item_bytes(&json!({"number": 1_796_083_200})) >= 3 + 1 + 6 + 6, "never too few");
    }
}
