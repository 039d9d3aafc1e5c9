//! A deploy is watched after its stage was left: for how long, and how that shows in the stage's state.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ActionStatus, AlarmState, Changes, DeclaredMetrics, ExecutionId, ExecutionType, Generation, Live, Observed,
    PipelineName, PipelineView, Record, RollbackCause, StageName, StageState, Unclear, WatchChange, WatchRule,
    derived_uuid,
};

/// Longest that a watch waits for its data points: what has so little traffic is better watched by something else.
const DATA_POINTS_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// An alarm is evaluated about once a minute: the last data point that was waited for has to come to that.
const EVALUATION: SignedDuration = SignedDuration::from_mins(2);

/// An alarm is observed for a stage for some time after an execution succeeded in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The alarm.
    pub alarm_arn: String,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its stage.
    pub stage: StageName,
    /// The execution that is watched.
    pub execution: ExecutionId,
    /// Name of the rule that declared it.
    pub rule: String,
    /// When the execution entered the stage: what turns red from here on counts.
    pub from: Timestamp,
    /// Until when it counts; with `data_points`, until when at the latest.
    pub until: Timestamp,
    /// What it waits for beside its time, where the rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_points: Option<DataPoints>,
    /// The metrics that are judged where it is no alarm that is observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricWatch>,
    /// The alarm's state when the execution entered the stage.
    pub state_at_entry: AlarmState,
    /// What it is for.
    #[serde(default)]
    pub purpose: WatchPurpose,
    /// Whether what it leads to is only told, and not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Whether it was told what it would have led to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Deploys that it superseded while they were watched, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<Unclear>,
    /// Generation of the stage when it succeeded.
    pub generation: Generation,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// Metrics that are judged for a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricWatch {
    /// Which.
    pub declared: DeclaredMetrics,
    /// When the execution had succeeded in the stage.
    pub since: Timestamp,
}

/// What an alarm is observed for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchPurpose {
    /// Whether a deploy makes things worse.
    #[default]
    Deploy,
    /// Whether a rollback helps.
    Proof,
}

/// Data points of its alarm's metric that a watch waits for, so that an hour without traffic proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataPoints {
    /// How many, at least.
    pub least: u32,
    /// From when they count: the deploy had succeeded.
    pub since: Timestamp,
    /// When the rule's WaitTime is over.
    pub due: Timestamp,
}

/// How a rule that watches shows in the stage's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// Id of this watch; it stands for the deploy and the rule.
    pub id: Uuid,
    /// `InProgress` while it runs, then `Succeeded`; `Failed` where its alarm turned red, `Abandoned` where the deploy is
    /// taken back for another reason.
    pub status: ActionStatus,
    /// For people.
    pub summary: String,
    /// Since when.
    pub changed_at: Timestamp,
}

impl WatchRule {
    /// What it observes, to begin a sentence with.
    pub(crate) fn subject(&self) -> String {
        match &self.metrics {
            Some(_) => format!("Metrics {}", self.alarm.rsplit_once('/').map_or(self.alarm.as_str(), |(name, _)| name)),
            None => format!("Alarm {}", self.alarm),
        }
    }

    /// When the watch of a deploy that succeeded at `succeeded` is over, at the latest.
    pub(crate) fn over_at(&self, succeeded: Timestamp) -> Timestamp {
        match self.wants(succeeded) {
            Some(points) => points.due.max(succeeded + DATA_POINTS_WAIT),
            None => self.time_over_at(succeeded),
        }
    }

    /// What such a watch waits for beside its time.
    pub(crate) fn wants(&self, succeeded: Timestamp) -> Option<DataPoints> {
        let points = DataPoints { least: self.data_points, since: succeeded, due: self.time_over_at(succeeded) };
        (self.data_points > 0).then_some(points)
    }

    /// When its WaitTime is over.
    pub(crate) fn time_over_at(&self, succeeded: Timestamp) -> Timestamp {
        succeeded + SignedDuration::from_mins(i64::from(self.minutes))
    }
}

impl Watch {
    /// Whether it observes a rollback rather than a deploy.
    pub fn proves(&self) -> bool {
        self.purpose == WatchPurpose::Proof
    }

    /// The data points that are all it waits for, its time being over.
    pub fn awaits_data(&self, now: Timestamp) -> Option<DataPoints> {
        self.data_points.filter(|points| points.due <= now && now < self.until)
    }
}

/// Lets `watch` end, of which data points are all it waits for: so many were `seen`. `None` where they are too few, or it
/// waits for none.
///
/// Its deploy's successor must know that nothing of it is unclear, so the stage is told where it is still observed.
pub fn saw_data(view: &PipelineView, watch: &Watch, seen: u32, now: Timestamp) -> Option<Changes> {
    let points = watch.awaits_data(now).filter(|points| points.least <= seen)?;
    let after = Watch { until: now + EVALUATION, data_points: None, ..watch.clone() };
    let mut changes =
        Changes { watches_changed: vec![WatchChange { before: watch.clone(), after }], ..Changes::default() };
    let mut stage = view.stage(&watch.stage);
    let observed = stage.live.iter_mut().flat_map(|live| &mut live.observed);
    if let Some(one) = observed.into_iter().find(|one| one.entered.execution == watch.execution) {
        one.saw_data.insert(watch.rule.clone(), now + EVALUATION);
        changes.stages.insert(watch.stage.clone(), stage);
    }
    changes.records.push(Record {
        execution: watch.execution,
        at: now,
        event: "WatchSawData".to_owned(),
        stage: Some(watch.stage.clone()),
        detail: format!("Rule {} has seen {seen} of {} data points, and ends.", watch.rule, points.least),
        evidence: None,
    });
    Some(changes)
}

/// Notes why nothing could be said of the deploy that `watch` observed, its time being over; `None` where something could.
/// Absent where the stage has it so already, or observes the deploy no more.
pub fn note_unjudged(view: &PipelineView, watch: &Watch, unjudged: Option<&str>) -> Option<Changes> {
    let mut stage = view.stage(&watch.stage);
    let observed = stage.live.iter_mut().flat_map(|live| &mut live.observed);
    let one = observed.into_iter().find(|one| one.entered.execution == watch.execution)?;
    if one.unjudged.get(&watch.rule).map(String::as_str) == unjudged {
        return None;
    }
    match unjudged {
        Some(why) => one.unjudged.insert(watch.rule.clone(), why.to_owned()),
        None => one.unjudged.remove(&watch.rule),
    };
    Some(Changes { stages: [(watch.stage.clone(), stage)].into(), ..Changes::default() })
}

/// How the watch of `rule` stands in `stage`, by what is live there; `None` where nothing is or was watched.
///
/// | the stage | status |
/// | --- | --- |
/// | is held because the rule's alarm turned red, or has a deploy live that is to blame and cannot be taken back | `Failed` |
/// | is being taken back for another reason | `Abandoned` |
/// | has a deploy live whose watch is not over | `InProgress` |
/// | has one whose watch is over | `Succeeded` |
/// | has a rollback live, or a deploy from before there was the rule | none |
pub fn watch_state(stage: &StageState, rule: &WatchRule, now: Timestamp) -> Option<WatchState> {
    let live = stage.live.as_ref()?;
    if let Some(state) = turned_red(stage, rule) {
        return Some(state);
    }
    let observed = live.observed.last().filter(|one| one.entered.execution == live.deployed_by)?;
    let at_entry = observed.entered.alarms.get(&rule.alarm)?.state;
    let id = id_of(stage, rule, live.deployed_by);
    let rollback = stage.occupant.as_ref().filter(|inside| inside.execution_type == ExecutionType::Rollback);
    if let Some(rollback) = rollback {
        let summary = format!("Rollback {} takes execution {} back.", rollback.execution, live.deployed_by);
        return Some(WatchState { id, status: ActionStatus::Abandoned, summary, changed_at: rollback.entered_at });
    }
    if let Some(at) = observed.blamed.get(&rule.rule) {
        let summary = format!(
            "{} turned red, and execution {} stays: list-rollback-decisions says why.",
            rule.subject(),
            live.deployed_by
        );
        return Some(WatchState { id, status: ActionStatus::Failed, summary, changed_at: *at });
    }
    let over = observed.over_at(rule);
    let (status, summary, changed_at) = if now < over {
        (ActionStatus::InProgress, runs(live, observed, rule, at_entry, now), live.since)
    } else {
        (ActionStatus::Succeeded, ran(live, observed, rule), over)
    };
    Some(WatchState { id, status, summary, changed_at })
}

fn ran(live: &Live, observed: &Observed, rule: &WatchRule) -> String {
    let (subject, execution, over) = (rule.subject(), live.deployed_by, observed.over_at(rule));
    match observed.unjudged.get(&rule.rule) {
        Some(why) => {
            let why = why.trim_end_matches('.');
            format!("{subject} were to be judged until {over} for execution {execution}, and could not be: {why}.")
        }
        None if rule.metrics.is_some() => format!("{subject} were judged until {over} for execution {execution}."),
        None => format!("{subject} was watched until {over} for execution {execution}."),
    }
}

impl StageState {
    /// Notes that `execution`, if it is still observed, is to blame by `rule` and cannot be taken back.
    pub fn blame(&mut self, execution: ExecutionId, rule: &str, now: Timestamp) {
        let observed = self.live.iter_mut().flat_map(|live| &mut live.observed);
        for one in observed.filter(|one| one.entered.execution == execution) {
            one.blamed.insert(rule.to_owned(), now);
        }
    }
}

fn runs(live: &Live, observed: &Observed, rule: &WatchRule, at_entry: AlarmState, now: Timestamp) -> String {
    let (alarm, execution, over) = (&rule.alarm, live.deployed_by, observed.over_at(rule));
    let until = match rule.wants(observed.succeeded_at) {
        Some(points) if !observed.saw_data.contains_key(&rule.rule) && now < over => format!(
            "until {}, and until it has had {} data points since {}, at the latest until {over}",
            points.due, points.least, points.since
        ),
        _ => format!("until {over}"),
    };
    if rule.metrics.is_some() {
        return format!("{} are judged {until} for execution {execution}.", rule.subject());
    }
    format!("Alarm {alarm} is watched {until} for execution {execution}; it was {at_entry} when that came in.")
}

fn turned_red(stage: &StageState, rule: &WatchRule) -> Option<WatchState> {
    let hold = stage.inbound.hold.as_ref()?;
    let RollbackCause::Alarm { alarm_arn, .. } = &hold.cause else { return None };
    let kind = if rule.metrics.is_some() { "metrics" } else { "alarm" };
    let is_its = *alarm_arn == rule.alarm || alarm_arn.ends_with(&format!(":{kind}:{}", rule.alarm));
    let summary = match (hold.rollback, hold.suspect) {
        (Some(rollback), _) => format!("{} turned red; rollback {rollback} follows.", rule.subject()),
        (None, Some(suspect)) => {
            format!("{} turned red; whether execution {suspect} is to blame is for a person to say.", rule.subject())
        }
        (None, None) => return None,
    };
    let id = id_of(stage, rule, hold.about());
    is_its.then_some(WatchState { id, status: ActionStatus::Failed, summary, changed_at: hold.since })
}

fn id_of(stage: &StageState, rule: &WatchRule, execution: ExecutionId) -> Uuid {
    derived_uuid(&["watch", stage.pipeline.as_str(), stage.name.as_str(), &execution.to_string(), &rule.rule])
}
