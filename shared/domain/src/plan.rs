//! In which order the actions of a stage run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ActionIndex, ActionName, ExecutionMode, StageIndex};

/// Most actions that one PARALLEL execution runs at the same time (spec 1.10); the others wait.
pub const ACTIONS_AT_ONCE_MAX: u32 = 5;

/// What the stage's state machine needs to know to run one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionStep {
    /// Which action.
    pub name: ActionName,
    /// Longest time the action may take.
    pub timeout_seconds: u32,
    /// Longest silence of whoever works on it. Below the timeout, as the States Language demands: by a second where the
    /// type has no such rule.
    pub heartbeat_seconds: u32,
}

impl From<&ActionIndex> for ActionStep {
    fn from(action: &ActionIndex) -> Self {
        Self {
            name: action.name.clone(),
            timeout_seconds: action.timeout_seconds,
            // Here and not in the index, whose rows may be older than this.
            heartbeat_seconds: action.heartbeat_seconds.min(action.timeout_seconds.saturating_sub(1)),
        }
    }
}

/// The actions of a stage, grouped by run order: groups run one after another, the actions of a group in parallel
/// (spec 1.3).
pub fn action_groups(stage: &StageIndex) -> Vec<Vec<ActionStep>> {
    let mut groups: BTreeMap<u16, Vec<ActionStep>> = BTreeMap::new();
    for action in &stage.actions {
        groups.entry(action.run_order).or_default().push(action.into());
    }
    groups.into_values().collect()
}

/// How many actions of a group an execution of this mode runs at the same time; 0 is as many as Step Functions runs
/// iterations of an inline Map, which is 40. Of more, the others start as these end.
pub fn actions_at_once(mode: ExecutionMode) -> u32 {
    match mode {
        ExecutionMode::Parallel => ACTIONS_AT_ONCE_MAX,
        ExecutionMode::Superseded | ExecutionMode::Queued => 0,
    }
}

/// What is left to run of `groups` when `kept` are not run again.
pub fn remaining_groups(groups: Vec<Vec<ActionStep>>, kept: &[ActionName]) -> Vec<Vec<ActionStep>> {
    groups
        .into_iter()
        .map(|group| group.into_iter().filter(|step| !kept.contains(&step.name)).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect()
}

/// Actions that a retry of failed actions keeps as they are: those that succeeded, up to the first group in which not
/// all did. What comes after a failed action runs again, whatever became of it in earlier runs (spec 5).
pub fn kept_actions(groups: &[Vec<ActionStep>], succeeded: &[ActionName]) -> Vec<ActionName> {
    let mut kept = Vec::new();
    for group in groups {
        let before = kept.len();
        kept.extend(group.iter().map(|step| &step.name).filter(|name| succeeded.contains(name)).cloned());
        if kept.len() - before < group.len() {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalogue, pipeline::tests::stage_index};

    #[test]
    fn equal_run_orders_share_a_group_and_numbers_need_not_be_contiguous() {
        let stage = stage_index("Deploy", &[("b", 7), ("a", 1), ("c", 7)]);
        let names = |groups: Vec<Vec<ActionStep>>| -> Vec<Vec<String>> {
            groups.iter().map(|group| group.iter().map(|step| step.name.to_string()).collect()).collect()
        };
        assert_eq!(names(action_groups(&stage)), [vec!["a"], vec!["b", "c"]]);
        let left = remaining_groups(action_groups(&stage), &["a".parse().unwrap(), "c".parse().unwrap()]);
        assert_eq!(names(left), [vec!["b"]]);
    }

    #[test]
    fn heartbeats_are_below_timeouts() {
        for (timeout, silence, expected) in
            [(86_400, 1_200, 1_200), (86_400, 86_400, 86_399), (300, 300, 299), (300, 1_200, 299)]
        {
            let mut stage = stage_index("Deploy", &[("a", 1)]);
            let action = &mut stage.actions[0];
            (action.timeout_seconds, action.heartbeat_seconds) = (timeout, silence);
            let step = ActionStep::from(&*action);
            assert_eq!((step.timeout_seconds, step.heartbeat_seconds), (timeout, expected));
        }
        // A heartbeat takes a second at least, so there has to be one below the timeout.
        assert!(Catalogue::default().all().all(|info| info.timeout_s > 1));
    }

    #[test]
    fn what_comes_after_a_failed_action_is_not_kept() {
        let groups = action_groups(&stage_index("Deploy", &[("a", 1), ("b", 2), ("c", 2), ("d", 3)]));
        let kept = |succeeded: &[&str]| -> Vec<String> {
            let succeeded: Vec<ActionName> = succeeded.iter().map(|name| name.parse().unwrap()).collect();
            kept_actions(&groups, &succeeded).iter().map(ToString::to_string).collect()
        };
        assert_eq!(kept(&["a", "c", "d"]), ["a", "c"]);
        assert_eq!(kept(&["b", "c", "d"]), [""; 0]);
        assert_eq!(kept(&["a", "b", "c", "d"]), ["a", "b", "c", "d"]);
    }
}
