//! What must be true of a row, as a DynamoDB condition expression.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use engine::ports::{Precondition, Row, StoreError};
use jiff::Timestamp;

use crate::items::{EXPIRES_AT, is_stage, row_type, version_of};

/// A condition expression with its placeholders.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Condition {
    pub(crate) expression: Option<&'static str>,
    pub(crate) names: Option<HashMap<String, String>>,
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

/// The only place where a precondition becomes an expression.
pub(crate) fn condition(precondition: Precondition, now: Timestamp) -> Condition {
    match precondition {
        Precondition::None => Condition::default(),
        // Nobody is shown what has expired, so it is not there for those either who demand that nothing is. Of two who
        // write in its place, the second finds what the first has written.
        Precondition::Absent | Precondition::Version(0) => Condition {
            expression: Some("attribute_not_exists(PK) OR #expires <= :now"),
            names: Some(HashMap::from([("#expires".to_owned(), EXPIRES_AT.to_owned())])),
            values: Some(HashMap::from([(":now".to_owned(), AttributeValue::N(now.as_second().to_string()))])),
        },
        Precondition::Version(version) => compare("#member = :expected", "version", version),
        // A stage nobody entered has no row and generation zero.
        Precondition::Generation(generation) if generation.0 == 0 => {
            compare("attribute_not_exists(PK) OR #member = :expected", "generation", 0)
        }
        Precondition::Generation(generation) => compare("#member = :expected", "generation", generation.0),
        Precondition::Run(id) => equal("id", AttributeValue::S(id.to_string())),
    }
}

/// Refuses preconditions that could never hold, or would let a version run backwards: mistakes of the caller that would
/// otherwise look like an endless race.
pub(crate) fn check_sense(row: &Row, precondition: Precondition, is_put: bool) -> Result<(), StoreError> {
    let kind = row_type(row);
    match (precondition, version_of(row)) {
        (Precondition::Version(_), None) => {
            Err(StoreError::Broken(format!("a row of type {kind} has no version to demand")))
        }
        (Precondition::Version(demanded), Some(carried)) if is_put && demanded != carried => Err(StoreError::Broken(
            format!("a row of type {kind} read at version {carried} cannot be stored over version {demanded}"),
        )),
        (Precondition::Generation(_), _) if !is_stage(row) => {
            Err(StoreError::Broken(format!("a row of type {kind} has no generation to demand")))
        }
        (Precondition::Run(_), _) if !matches!(row, Row::LatestAction(_)) => {
            Err(StoreError::Broken(format!("a row of type {kind} is of no action's latest run")))
        }
        _ => Ok(()),
    }
}

fn compare(expression: &'static str, member: &str, expected: u64) -> Condition {
    Condition { expression: Some(expression), ..equal(member, AttributeValue::N(expected.to_string())) }
}

/// Names go through a placeholder, so that none can be one of DynamoDB's reserved words.
fn equal(member: &str, expected: AttributeValue) -> Condition {
    Condition {
        expression: Some("#member = :expected"),
        names: Some(HashMap::from([("#member".to_owned(), member.to_owned())])),
        values: Some(HashMap::from([(":expected".to_owned(), expected)])),
    }
}
