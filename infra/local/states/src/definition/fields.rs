//! The fields that several state types share: exits, Retry and Catch.

use serde_json::Value;

use super::{
    Catcher, Exit, Next, Recovery, Retrier,
    reader::{Node, Read},
};
use crate::expression::Template;

/// Fields every state may have.
pub(super) const ANY: &[&str] = &["Type", "Comment", "QueryLanguage"];
/// Fields of a state that goes on to another.
pub(super) const EXIT: &[&str] = &["Assign", "Output", "Next", "End"];
/// Fields of a state whose failure can be handled.
pub(super) const RECOVERY: &[&str] = &["Retry", "Catch"];
/// Longest delay in seconds a Retry may name, an ASL limit.
const DELAY_S_MAX: u64 = 31_622_399;
/// Most attempts a Retry may name, an ASL limit.
const ATTEMPTS_MAX: u64 = 99_999_999;

/// Assign, Output, and exactly one of Next and End.
pub(super) fn exit(node: &Node<'_>) -> Read<Exit> {
    let next = match (node.text("Next")?, node.get("End")) {
        (Some(name), None) => Next::State(name.to_owned()),
        (None, Some(Value::Bool(true))) => Next::End,
        (None, Some(_)) => return Err(node.error_at("End", "End can only be true")),
        (None, None) => return Err(node.error("either Next or End is required")),
        (Some(_), Some(_)) => return Err(node.error("Next and End exclude each other")),
    };
    Ok(Exit { assign: assign(node)?, output: node.template("Output")?, next })
}

/// The variables a state sets.
pub(super) fn assign(node: &Node<'_>) -> Read<Option<Template>> {
    if node.get("Assign").is_none() {
        return Ok(None);
    }
    let names = node.object("Assign")?;
    for (name, _) in names.entries() {
        let mut letters = name.chars();
        let first = letters.next().is_some_and(|c| c.is_alphabetic());
        if !first || !letters.all(|c| c.is_alphanumeric() || c == '_') || name.len() > 80 || name == "states" {
            return Err(names.error_at(
                name,
                "a variable is named by a letter, then letters, digits and _, at most 80; not states",
            ));
        }
    }
    node.template("Assign")
}

/// Retry and Catch.
pub(super) fn recovery(node: &Node<'_>) -> Read<Recovery> {
    let (retry, catch) = (node.list("Retry")?, node.list("Catch")?);
    let read_retry =
        |(i, value)| retrier(&Node::new(value, format!("{}[{i}]", node.at("Retry")))?, i + 1 == retry.len());
    let read_catch =
        |(i, value)| catcher(&Node::new(value, format!("{}[{i}]", node.at("Catch")))?, i + 1 == catch.len());
    Ok(Recovery {
        retry: retry.iter().enumerate().map(read_retry).collect::<Read<_>>()?,
        catch: catch.iter().enumerate().map(read_catch).collect::<Read<_>>()?,
    })
}

fn retrier(node: &Node<'_>, last: bool) -> Read<Retrier> {
    node.only(&[&[
        "Comment",
        "ErrorEquals",
        "IntervalSeconds",
        "MaxAttempts",
        "BackoffRate",
        "MaxDelaySeconds",
        "JitterStrategy",
    ]])?;
    let rate = match node.get("BackoffRate") {
        None => 2.0,
        Some(value) => value
            .as_f64()
            .filter(|rate| *rate >= 1.0)
            .ok_or_else(|| node.error_at("BackoffRate", "expected a number of at least 1"))?,
    };
    let attempts = node.number("MaxAttempts", 0, ATTEMPTS_MAX)?.unwrap_or(3);
    let full_jitter = match node.text("JitterStrategy")? {
        None | Some("NONE") => false,
        Some("FULL") => true,
        Some(_) => return Err(node.error_at("JitterStrategy", "expected NONE or FULL")),
    };
    Ok(Retrier {
        errors: errors(node, last)?,
        interval_s: node.number("IntervalSeconds", 1, ATTEMPTS_MAX)?.unwrap_or(1),
        attempts_max: u32::try_from(attempts).expect("bounded by ATTEMPTS_MAX"),
        backoff_rate: rate,
        delay_s_max: node.number("MaxDelaySeconds", 1, DELAY_S_MAX)?,
        full_jitter,
    })
}

fn catcher(node: &Node<'_>, last: bool) -> Read<Catcher> {
    node.only(&[&["Comment", "ErrorEquals", "Next", "Assign", "Output"]])?;
    Ok(Catcher { errors: errors(node, last)?, exit: exit(node)? })
}

/// `ErrorEquals`: not empty, and `States.ALL` alone in the last entry.
fn errors(node: &Node<'_>, last: bool) -> Read<Vec<String>> {
    node.required("ErrorEquals")?;
    let names = node.list("ErrorEquals")?.iter().map(|name| name.as_str().map(str::to_owned));
    let names: Option<Vec<String>> = names.collect();
    let names = names.filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| node.error_at("ErrorEquals", "expected one or more error names"))?;
    if names.iter().any(|name| name == "States.ALL") && (names.len() > 1 || !last) {
        return Err(node.error_at("ErrorEquals", "States.ALL must stand alone, in the last entry"));
    }
    Ok(names)
}
