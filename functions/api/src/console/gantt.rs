//! What took how long in an execution, as bars on one scale.

use domain::{ActionRun, ActionStatus, AlarmState, Execution, RollbackDecision, RuleRun, StageName, StageStatus};
use jiff::Timestamp;

use super::{
    decision::outcome_badge,
    parts::{Badge, When, span},
};

/// Units of the scale.
pub(super) const UNITS: i64 = 1000;
/// Narrowest bar, so that what took a moment is seen.
const UNITS_MIN: i64 = 4;
/// A pause between stages from which it is shown as waiting, in milliseconds.
const WAIT_MS_MIN: i64 = 1000;

/// Bars on one scale.
pub(super) struct Gantt {
    pub(super) rows: Vec<GanttRow>,
    pub(super) from: When,
    pub(super) took: String,
}

/// What took some time.
pub(super) struct GanttRow {
    pub(super) label: String,
    /// `stage`, `action`, `rule`, `wait`, or `mark` for what was found and decided about it later.
    pub(super) kind: &'static str,
    pub(super) status: Badge,
    pub(super) began: When,
    pub(super) took: String,
    pub(super) summary: String,
    pub(super) x: i64,
    pub(super) width: i64,
    at: Timestamp,
}

/// From when until when a scale goes.
struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    fn x(&self, at: Timestamp) -> i64 {
        let whole = self.to.duration_since(self.from).as_millis().max(1);
        let part = at.duration_since(self.from).as_millis().clamp(0, whole);
        i64::try_from(part * i128::from(UNITS) / whole).unwrap_or(UNITS)
    }

    fn row(&self, label: String, kind: &'static str, status: Badge, began: Timestamp, ended: Timestamp) -> GanttRow {
        let width = (self.x(ended) - self.x(began)).max(UNITS_MIN);
        GanttRow {
            x: self.x(began).min(UNITS - width),
            took: span(ended.duration_since(began)),
            began: began.into(),
            at: began,
            summary: String::new(),
            label,
            kind,
            status,
            width,
        }
    }
}

impl Gantt {
    /// The bars of an execution: each stage in the order it was entered, with waits before it, its actions and rules
    /// below it, and in the end alarms and decisions, which may come when it is long over.
    pub(super) fn of(
        execution: &Execution,
        actions: &[ActionRun],
        rules: &[RuleRun],
        decisions: &[RollbackDecision],
        now: Timestamp,
    ) -> Self {
        let ended = if execution.phase.is_ended() { execution.updated_at } else { now };
        let to = decisions.iter().map(|decision| decision.at).chain([ended]).max().unwrap_or(ended);
        let scale = Scale { from: execution.started_at, to };
        let mut stages: Vec<_> = execution.stages.iter().collect();
        stages.sort_by_key(|(_, outcome)| outcome.entered_at);
        let (mut rows, mut free_at) = (Vec::new(), execution.started_at);
        for (name, outcome) in stages {
            if outcome.entered_at.duration_since(free_at).as_millis() >= i128::from(WAIT_MS_MIN) {
                let label = format!("Waiting for {name}");
                rows.push(scale.row(label, "wait", Badge::new("wait", "Waited"), free_at, outcome.entered_at));
            }
            let until = outcome.left_at.unwrap_or(ended);
            let badge = match outcome.revoked_by {
                Some(_) if outcome.status == StageStatus::Succeeded => Badge::new("back", "Taken back"),
                _ => Badge::from(outcome.status),
            };
            rows.push(scale.row(name.to_string(), "stage", badge, outcome.entered_at, until));
            rows.extend(inside(&scale, ended, name, actions, rules));
            free_at = until;
        }
        rows.extend(decisions.iter().rev().flat_map(|decision| marks(&scale, decision)));
        Self { rows, from: scale.from.into(), took: span(scale.to.duration_since(scale.from)) }
    }
}

/// Runs of actions and rules in a stage, oldest first.
fn inside(
    scale: &Scale,
    ended: Timestamp,
    stage: &StageName,
    actions: &[ActionRun],
    rules: &[RuleRun],
) -> Vec<GanttRow> {
    let until = |status: ActionStatus, changed| if status == ActionStatus::InProgress { ended } else { changed };
    let actions = actions.iter().filter(|run| run.stage == *stage).map(|run| {
        let ended = until(run.status, run.updated_at);
        let row = scale.row(run.action.to_string(), "action", Badge::from(run.status), run.started_at, ended);
        GanttRow { summary: run.error_message.clone().or(run.summary.clone()).unwrap_or_default(), ..row }
    });
    let rules = rules.iter().filter(|run| run.stage == *stage).map(|run| {
        let ended = until(run.state.status, run.state.changed_at);
        let label = format!("{} ({})", run.state.name, run.kind.as_str());
        let row = scale.row(label, "rule", Badge::from(run.state.status), run.started_at, ended);
        GanttRow { summary: run.state.summary.clone().unwrap_or_default(), ..row }
    });
    let mut rows: Vec<GanttRow> = actions.chain(rules).collect();
    rows.sort_by_key(|row| row.at);
    rows
}

/// A decision, and before it the alarm that led to it: red from when it turned until it was judged.
fn marks(scale: &Scale, decision: &RollbackDecision) -> Vec<GanttRow> {
    let mut rows = Vec::new();
    let evidence = decision.evidence.as_ref().filter(|evidence| evidence.alarm.state == AlarmState::Alarm);
    if let Some(evidence) = evidence {
        let label = match domain::watched_as(&evidence.alarm.arn) {
            // Their name may be long, and is with the decision.
            ("Metrics", _) => "Metrics".to_owned(),
            (_, name) => format!("Alarm {name}"),
        };
        rows.push(scale.row(label, "mark", Badge::new("bad", "Red"), evidence.alarm.since, decision.at));
    }
    let label = format!("Decision in {}", decision.stage);
    rows.push(scale.row(label, "mark", outcome_badge(&decision.outcome), decision.at, decision.at));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_on_the_scale_and_are_seen() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let scale = Scale { from: at(0), to: at(100) };
        for (from, to, expected) in
            [(0, 50, (0, 500)), (100, 100, (996, 4)), (-5, 200, (0, 1000)), (99, 100, (990, 10))]
        {
            let row = scale.row("x".into(), "stage", Badge::never(), at(from), at(to));
            assert_eq!((row.x, row.width), expected, "{from} {to}");
        }
        let moment = Scale { from: at(0), to: at(0) };
        assert_eq!(moment.x(at(0)), 0);
    }
}
