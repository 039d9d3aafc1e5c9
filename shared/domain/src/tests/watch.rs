//! Watches: how they show in a stage's state, and data points that they wait for.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{at, id, manual, table::Table};
use crate::{
    ActionStatus, AlarmSnapshot, AlarmState, DeclaredMetrics, ExecutionMode, ExecutionType, Hold, Live, Observed,
    Occupant, PipelineView, RollbackCause, StageState, WatchRule, note_unjudged, saw_data, watch_state,
};

const ARN: &str = "arn:aws:cloudwatch:eu-west-1:1:alarm:errors";

fn rule(data_points: u32) -> WatchRule {
    let (rule, alarm) = ("slow".to_owned(), "errors".to_owned());
    WatchRule { rule, alarm, minutes: 10, data_points, shadow: false, hold_until_other: false, metrics: None }
}

fn entered(n: u128, execution_type: ExecutionType) -> Occupant {
    let alarm = AlarmSnapshot { arn: ARN.into(), state: AlarmState::Ok };
    let alarms = BTreeMap::from([("errors".to_owned(), alarm)]);
    Occupant { execution: id(n), execution_type, entered_at: at(40), alarms }
}

/// Execution 1 came in at 40 and succeeded at 100.
fn deployed() -> StageState {
    let observed = Observed {
        entered: entered(1, ExecutionType::Standard),
        succeeded_at: at(100),
        saw_data: BTreeMap::new(),
        blamed: BTreeMap::new(),
        unjudged: BTreeMap::new(),
        superseded_at: None,
    };
    let live = Live { deployed_by: id(1), revision_of: id(1), since: at(100), observed: vec![observed] };
    StageState { live: Some(live), ..StageState::new("shop".parse().unwrap(), "Deploy".parse().unwrap()) }
}

fn held(rollback: Option<u128>, cause: RollbackCause) -> StageState {
    let mut stage = deployed();
    let (rollback, suspect) = (rollback.map(id), rollback.is_none().then(|| id(1)));
    let hold = Hold { rollback, target: None, suspect, cause, lifts_for_other_content: false, since: at(300) };
    stage.inbound.hold = Some(hold);
    stage
}

fn alarm(arn: &str) -> RollbackCause {
    RollbackCause::Alarm { alarm_arn: arn.into(), reason: "red".into() }
}

#[test]
fn a_watch_shows_in_the_state_of_its_stage() {
    use ActionStatus as S;
    let rolling = StageState { occupant: Some(entered(9, ExecutionType::Rollback)), ..deployed() };
    let next = StageState { occupant: Some(entered(2, ExecutionType::Standard)), ..deployed() };
    let mut back = deployed();
    back.live.as_mut().unwrap().observed.clear();
    let empty = StageState { live: None, ..deployed() };
    let mut blamed = deployed();
    blamed.blame(id(1), "slow", at(300));
    let person = manual();
    for (name, stage, now, expected) in [
        ("runs", deployed(), 101, Some((S::InProgress, "until 1970-01-01T00:11:40Z", 100))),
        ("runs while the next comes in", next, 699, Some((S::InProgress, "it was OK", 100))),
        ("is over", deployed(), 700, Some((S::Succeeded, "was watched", 700))),
        ("turned red", held(Some(9), alarm(ARN)), 400, Some((S::Failed, "rollback", 300))),
        ("asks", held(None, alarm(ARN)), 400, Some((S::Failed, "for a person", 300))),
        ("another alarm", held(Some(9), alarm("arn:other")), 400, Some((S::InProgress, "watched", 100))),
        ("held by a person", held(Some(9), person), 400, Some((S::InProgress, "watched", 100))),
        ("is to blame and stays", blamed, 400, Some((S::Failed, "list-rollback-decisions", 300))),
        ("is taken back", rolling, 400, Some((S::Abandoned, "takes execution", 40))),
        ("a rollback is live", back, 400, None),
        ("nothing is live", empty, 400, None),
    ] {
        let state = watch_state(&stage, &rule(0), at(now));
        let seen = state.as_ref().map(|state| (state.status, state.changed_at));
        assert_eq!(seen, expected.map(|(status, _, since)| (status, at(since))), "{name}: {state:?}");
        let said = state.map(|state| state.summary).unwrap_or_default();
        assert!(said.contains(expected.map_or("", |(_, word, _)| word)), "{name}: {said}");
    }
    let other = WatchRule { alarm: "unknown then".into(), ..rule(0) };
    assert_eq!(watch_state(&deployed(), &other, at(101)), None);
}

#[test]
fn a_watch_that_could_say_nothing_does_not_end_like_one_that_found_nothing() {
    let mut table = Table::new(ExecutionMode::Queued, 2);
    let metrics = DeclaredMetrics { region: None, configuration: BTreeMap::new() };
    let judge = WatchRule { metrics: Some(metrics), ..rule(0) };
    table.index_of("Deploy").watches = vec![judge.clone()];
    let read = AlarmSnapshot { arn: ARN.into(), state: AlarmState::InsufficientData };
    table.alarms = BTreeMap::from([("errors".to_owned(), read)]);
    table.release(1, "Verify");
    let watch = table.watches.values().next().unwrap().clone();
    let mut view = table.view();
    let said = |view: &PipelineView| watch_state(&view.stage(&watch.stage), &judge, watch.until).unwrap().summary;
    assert!(said(&view).starts_with("Metrics errors were judged until"), "{}", said(&view));
    assert_eq!(note_unjudged(&view, &watch, None), None, "nothing is to be noted");
    let changes = note_unjudged(&view, &watch, Some("there are no points.")).unwrap();
    view.stages.extend(changes.stages);
    assert!(said(&view).ends_with("and could not be: there are no points."), "{}", said(&view));
    assert_eq!(note_unjudged(&view, &watch, Some("there are no points.")), None, "it is noted already");
    // What comes at the very last look counts.
    let changes = note_unjudged(&view, &watch, None).unwrap();
    view.stages.extend(changes.stages);
    assert!(said(&view).starts_with("Metrics errors were judged until"), "{}", said(&view));
}

#[test]
fn a_watch_with_data_points_goes_on_until_it_has_seen_them() {
    let mut table = Table::new(ExecutionMode::Queued, 2);
    table.index_of("Deploy").watches = vec![rule(3)];
    let read = AlarmSnapshot { arn: ARN.into(), state: AlarmState::Ok };
    table.alarms = BTreeMap::from([("errors".to_owned(), read)]);
    table.release(1, "Verify");
    let watch = table.watches.values().next().unwrap().clone();
    let points = watch.data_points.unwrap();
    assert_eq!((points.least, points.due), (3, points.since + SignedDuration::from_mins(10)));
    assert_eq!(watch.until, points.since + SignedDuration::from_hours(24));
    let view = table.view();
    let before = points.due - SignedDuration::from_secs(1);
    assert_eq!(saw_data(&view, &watch, 9, before), None, "its time is not over");
    assert_eq!(saw_data(&view, &watch, 2, points.due), None, "too few");
    assert_eq!(saw_data(&view, &watch, 9, watch.until), None, "it is over");
    let shown = watch_state(&view.stage(&watch.stage), &rule(3), points.due).unwrap();
    assert!(shown.summary.contains("3 data points") && shown.status == ActionStatus::InProgress, "{shown:?}");

    let changes = saw_data(&view, &watch, 3, points.due).unwrap();
    let [changed] = changes.watches_changed.as_slice() else { panic!("one watch") };
    let over = points.due + SignedDuration::from_mins(2);
    assert_eq!((changed.after.until, changed.after.data_points), (over, None));
    let stage = &changes.stages[&watch.stage];
    assert_eq!(watch_state(stage, &rule(3), over).unwrap().status, ActionStatus::Succeeded);
    let [one] = stage.live.as_ref().unwrap().observed.as_slice() else { panic!("one deploy") };
    let superseded = Observed { superseded_at: Some(over), ..one.clone() };
    assert_eq!(superseded.unclear(&rule(3), over), None, "nothing is left unclear");
    let unseen = Observed { saw_data: BTreeMap::new(), ..superseded };
    assert!(unseen.unclear(&rule(3), over).is_some());
    let later = points.since + SignedDuration::from_hours(24);
    assert_eq!(Observed { superseded_at: Some(later), ..unseen }.unclear(&rule(3), later), None);
}
