//! How the alarms of a stage stand when an execution enters it.

use std::collections::{BTreeMap, BTreeSet};

use domain::{AlarmSnapshot, AlarmState, StageIndex};

use crate::{HasAlarms, ports::Alarms};

/// Reads the alarms that `stages` watch, by their declared name. One that cannot be read is a visible third outcome:
/// the deploy goes on, and the judge knows that it knows nothing (spec 10.1).
pub(crate) async fn snapshot<'a, W: HasAlarms>(
    world: &W,
    stages: impl Iterator<Item = &'a StageIndex>,
) -> BTreeMap<String, AlarmSnapshot> {
    let declared: BTreeSet<&String> = stages.flat_map(|stage| &stage.watches).map(|watch| &watch.alarm).collect();
    if declared.is_empty() {
        return BTreeMap::new();
    }
    let arns: Vec<String> = declared.iter().map(|alarm| world.settings().alarm_arn(alarm)).collect();
    let read = world.alarms().describe(&arns).await.unwrap_or_default();
    declared
        .into_iter()
        .zip(arns)
        .map(|(name, arn)| {
            let state = read.iter().find(|alarm| alarm.arn == arn).map_or(AlarmState::Unreadable, |alarm| alarm.state);
            (name.clone(), AlarmSnapshot { arn, state })
        })
        .collect()
}
