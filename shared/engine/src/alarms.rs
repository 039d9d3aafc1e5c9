//! How alarms stand: those of a stage when an execution enters it, and one that is asked for.

use std::collections::{BTreeMap, BTreeSet};

use domain::{AlarmChange, AlarmSnapshot, AlarmState, StageIndex};

use crate::{EngineError, HasAlarms, metrics::unseen, ports::Alarms};

/// The alarm as CloudWatch tells of it when asked; none where it is gone.
///
/// # Errors
/// [`EngineError::Unavailable`]: ask again.
pub async fn look_up_alarm<W: HasAlarms>(world: &W, arn: &str) -> Result<Option<AlarmChange>, EngineError> {
    let found = world.alarms().describe(&[arn.to_owned()]).await?;
    Ok(found.into_iter().find(|alarm| alarm.arn == arn))
}

/// Reads the alarms that `stages` watch, by their declared name. One that cannot be read is a visible third outcome:
/// the deploy goes on, and the judge knows that it knows nothing (spec 10.1). One that is red is red here also while its
/// actions are suppressed: it was so before the deploy.
pub(crate) async fn snapshot<'a, W: HasAlarms>(
    world: &W,
    stages: impl Iterator<Item = &'a StageIndex>,
) -> BTreeMap<String, AlarmSnapshot> {
    let (judged, observed): (Vec<_>, Vec<_>) =
        stages.flat_map(|stage| &stage.watches).partition(|watch| watch.metrics.is_some());
    let judged = judged.into_iter().filter_map(|watch| {
        let declared = watch.metrics.as_ref()?;
        Some((watch.alarm.clone(), unseen(world.settings(), declared)))
    });
    let judged: BTreeMap<String, AlarmSnapshot> = judged.collect();
    let declared: BTreeSet<&String> = observed.into_iter().map(|watch| &watch.alarm).collect();
    if declared.is_empty() {
        return judged;
    }
    let arns: Vec<String> = declared.iter().map(|alarm| world.settings().alarm_arn(alarm)).collect();
    let mut read = Vec::new();
    for arns in by_region(&arns) {
        read.extend(world.alarms().describe(&arns).await.unwrap_or_default());
    }
    declared
        .into_iter()
        .zip(arns)
        .map(|(name, arn)| {
            let state = match read.iter().find(|alarm| alarm.arn == arn).map(|alarm| alarm.state) {
                Some(AlarmState::Suppressed) => AlarmState::Alarm,
                Some(state) => state,
                None => AlarmState::Unreadable,
            };
            (name.clone(), AlarmSnapshot { arn, state })
        })
        .chain(judged)
        .collect()
}

/// Alarms by the region in their ARN: one that cannot be reached keeps nobody from reading those of the others.
pub(crate) fn by_region(arns: &[String]) -> Vec<Vec<String>> {
    let mut regions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for arn in arns {
        let region = arn.split(':').nth(3).unwrap_or_default();
        regions.entry(region).or_default().push(arn.clone());
    }
    regions.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_of_one_region_are_read_together() {
        let arn = |region: &str, name: &str| format!("arn:aws:cloudwatch:{region}:1:alarm:{name}");
        let [a, b, c] = [arn("eu-west-1", "a"), arn("us-east-1", "b:c"), arn("eu-west-1", "c")];
        assert_eq!(by_region(&[a.clone(), b.clone(), c.clone()]), [vec![a, c], vec![b]]);
        assert!(by_region(&[]).is_empty());
    }
}
