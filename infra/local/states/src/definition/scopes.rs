//! Rules that hold across states: everything can be reached, and a branch leaves outer variables alone.

use std::collections::HashSet;

use serde_json::Value;

use super::{Exit, Machine, reader::Read};
use crate::definition::DefinitionError;

/// Checks every scope of `value`, which [`super::parse::machine`] has already accepted.
pub(super) fn check(value: &Value, machine: &Machine) -> Read<()> {
    scope(value, "$", machine, &HashSet::new())
}

fn scope(value: &Value, path: &str, machine: &Machine, outer: &HashSet<String>) -> Read<()> {
    let Some(states) = value["States"].as_object() else {
        return Ok(());
    };
    let reached = reach(value["StartAt"].as_str().unwrap_or_default(), machine);
    let mut assigned = outer.clone();
    for (name, state) in states {
        let path = format!("{path}.States.{name}");
        if !reached.contains(name.as_str()) {
            return Err(DefinitionError::new(path, "no state leads here"));
        }
        for variable in assignments(state) {
            if outer.contains(variable) {
                return Err(DefinitionError::new(
                    path,
                    format!("{variable} is a variable of an outer scope and cannot be assigned here"),
                ));
            }
            assigned.insert(variable.to_owned());
        }
    }
    for (name, state) in states {
        let path = format!("{path}.States.{name}");
        for (i, branch) in state["Branches"].as_array().into_iter().flatten().enumerate() {
            scope(branch, &format!("{path}.Branches[{i}]"), machine, &assigned)?;
        }
        scope(&state["ItemProcessor"], &format!("{path}.ItemProcessor"), machine, &assigned)?;
    }
    Ok(())
}

/// Names of the states that can be reached from `start` without leaving its scope.
fn reach<'m>(start: &'m str, machine: &'m Machine) -> HashSet<&'m str> {
    let mut reached = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        let exits = machine.states.get(name).map(|state| state.exits()).unwrap_or_default();
        open.extend(exits.into_iter().filter_map(Exit::target).filter(|target| reached.insert(target)));
    }
    reached
}

/// Variables that one state assigns, wherever Assign is legal in it.
fn assignments(state: &Value) -> impl Iterator<Item = &str> {
    let nested = ["Choices", "Catch"].into_iter().flat_map(|key| state[key].as_array().into_iter().flatten());
    let all = std::iter::once(state).chain(nested).filter_map(|holder| holder["Assign"].as_object());
    all.flat_map(|names| names.keys().map(String::as_str))
}
