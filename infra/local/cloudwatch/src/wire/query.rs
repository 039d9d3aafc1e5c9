//! AWS Query requests: a form whose keys are paths.

use serde_json::{Map, Value, json};

use super::Call;
use crate::{error::ApiError, operations::Operation, schema::Scalars};

/// The version of the interface; requests name it.
const VERSION: &str = "2010-08-01";

/// How many steps a key may have; `MetricData.member.1.Dimensions.member.1.Name` has seven.
const DEPTH_MAX: usize = 16;

/// Reads a call: the operation from the field `Action`, the input from the others.
pub(super) fn decode(bytes: &[u8]) -> Result<Call, ApiError> {
    let mut tree = json!({});
    for (key, value) in form_urlencoded::parse(bytes) {
        insert(&mut tree, &key, value.into_owned())?;
    }
    let action = tree["Action"].as_str().ok_or_else(|| ApiError::malformed("The form lacks the field Action."))?;
    let operation = Operation::named(action)?;
    if tree.get("Version").is_some_and(|version| version != VERSION) {
        return Err(ApiError::unknown_operation(operation.name));
    }
    Ok(Call { operation, raw: tree, scalars: Scalars::AsText })
}

fn insert(tree: &mut Value, key: &str, value: String) -> Result<(), ApiError> {
    let clash = || ApiError::malformed("The form has a field that is both a value and a structure.");
    if key.split('.').count() > DEPTH_MAX {
        return Err(ApiError::malformed("The form has a field that is nested too deep."));
    }
    let (parents, name) = key.rsplit_once('.').map_or((None, key), |(parents, name)| (Some(parents), name));
    let mut node = tree.as_object_mut().ok_or_else(clash)?;
    for parent in parents.into_iter().flat_map(|parents| parents.split('.')) {
        node = node.entry(parent).or_insert_with(|| Value::Object(Map::new())).as_object_mut().ok_or_else(clash)?;
    }
    node.insert(name.to_owned(), Value::String(value));
    Ok(())
}
