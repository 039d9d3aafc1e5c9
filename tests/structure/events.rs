//! An example of every event, in the form in which EventBridge delivers it. `UPDATE=1` writes them.

use std::{collections::BTreeMap, fs};

use domain::{
    ActionRun, ArtifactState, Changes, EVENT_SOURCE, Event, EventState, Execution, Kept, KeptChange, Phase,
    RollbackCause, RollbackDecision, RollbackOf, RollbackOutcome, StageOutcome, StageStatus, StateChange, StopTrigger,
    TriggerType, events_of,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::workspace;

const FOLDER: &str = "tests/fixtures/events";
const ARN: &str = "arn:aws:codepipeline:eu-west-1:111122223333:shop";
const NOW: &str = "2026-11-23T10:17:40.25Z";
const TARGET: &str = "01935c2a-4f00-7000-8000-000000000001";
const UNDONE: &str = "01935c2a-4f00-7000-8000-000000000002";

/// Documented states, by detail-type (spec 8), and what a file of the type is called.
const STATES: [(&str, &str, &[&str]); 6] = [
    (
        "pipeline",
        "CodePipeline Pipeline Execution State Change",
        &["STARTED", "SUCCEEDED", "FAILED", "RESUMED", "STOPPING", "STOPPED", "SUPERSEDED", "CANCELED"],
    ),
    // What a push started tells that with each state.
    ("git", "CodePipeline Pipeline Execution State Change", &["STARTED", "SUCCEEDED"]),
    (
        "stage",
        "CodePipeline Stage Execution State Change",
        &["STARTED", "SUCCEEDED", "FAILED", "RESUMED", "STOPPING", "STOPPED", "CANCELED"],
    ),
    ("action", "CodePipeline Action Execution State Change", &["STARTED", "SUCCEEDED", "FAILED", "ABANDONED"]),
    (
        "decision",
        "Lastgood Rollback State Change",
        &["DECLINED", "ASKED", "SHADOWED", "HELPED", "DID_NOT_HELP", "REINSTATED", "RELEASED"],
    ),
    ("artifact", "Lastgood Artifact State Change", &["GONE", "ALTERED", "UNREADABLE", "RESTORED"]),
];

#[test]
fn there_is_an_example_of_every_event() {
    let examples = examples();
    let expected = STATES.iter().flat_map(|(name, _, states)| states.iter().map(move |state| (name, state)));
    let mut names: Vec<String> =
        expected.map(|(name, state)| format!("{name}-{}.json", state.to_lowercase())).collect();
    names.extend(["rollback-started.json".to_owned(), "rollback-failed.json".to_owned()]);
    names.sort();
    assert_eq!(examples.keys().cloned().collect::<Vec<_>>(), names);
    for (name, event) in examples {
        let path = format!("{FOLDER}/{name}");
        let shown = serde_json::to_string_pretty(&delivered(&event)).expect("an event is JSON") + "\n";
        let file = workspace::root().join(&path);
        if fs::read_to_string(&file).unwrap_or_default() == shown {
            continue;
        }
        assert!(
            wants_update(),
            "{path} is not what the code publishes; write it with\n  UPDATE=1 cargo test -p tests --test structure"
        );
        fs::create_dir_all(workspace::root().join(FOLDER)).expect("the folder can be made");
        fs::write(file, shown).expect("the example can be written");
    }
}

#[test]
fn examples_are_read_strictly_and_have_codepipelines_states() {
    for (name, kind, states) in STATES {
        for state in states {
            let path = format!("{FOLDER}/{name}-{}.json", state.to_lowercase());
            let example: Value = serde_json::from_str(&workspace::read(&path)).expect("an example is JSON");
            assert_eq!((&example["detail-type"], &example["detail"]["state"]), (&json!(kind), &json!(state)), "{path}");
            // Unknown members are refused.
            let form = json!({ "detail-type": example["detail-type"], "detail": example["detail"] });
            let read: StateChange = serde_json::from_value(form.clone()).unwrap_or_else(|why| panic!("{path}: {why}"));
            assert_eq!(serde_json::to_value(read).expect("an event is JSON"), form, "{path}");
            let mut more = form;
            more["detail"]["surprise"] = json!(1);
            assert!(serde_json::from_value::<StateChange>(more).is_err(), "{path}");
        }
    }
}

/// The event as a rule's target gets it.
fn delivered(event: &Event) -> Value {
    let change = serde_json::to_value(&event.change).expect("an event is JSON");
    json!({
        "version": "0",
        "id": "7c0f3a52-0d5e-4b7e-9d5b-2f6f0f4b1c11",
        "detail-type": change["detail-type"],
        "source": EVENT_SOURCE,
        "account": "111122223333",
        "time": format!("{:.0}", event.time),
        "region": "eu-west-1",
        "resources": [ARN],
        "detail": change["detail"],
    })
}

/// Files with their events.
fn examples() -> BTreeMap<String, Event> {
    let mut examples = BTreeMap::new();
    let mut add = |name: &str, changes: &Changes| {
        for event in events_of(changes, "eu-west-1", now()).expect("the changes say how it was") {
            let kind = match (&event.change, name) {
                (StateChange::Pipeline(_), "rollback" | "git") => name,
                (StateChange::Pipeline(_), _) => "pipeline",
                (StateChange::Stage(_), _) => "stage",
                (StateChange::Action(_), _) => "action",
                (StateChange::Rollback(_), _) => "decision",
                (StateChange::Artifact(_), _) => "artifact",
            };
            let file = format!("{kind}-{}.json", event.state().as_str().to_lowercase());
            examples.entry(file).or_insert(event);
        }
    };
    let running = |status| inside(Phase::Running { stage: stage() }, status);
    let (mut stopping, mut retried) =
        (inside(Phase::Stopping { stage: stage() }, StageStatus::InProgress), running(StageStatus::InProgress));
    stopping.stop = Some(StopTrigger { by: "ana".to_owned(), reason: Some("wrong build".to_owned()) });
    let stopped = Execution { phase: Phase::Stopped, stages: ended(StageStatus::Stopped), ..stopping.clone() };
    retried.attempt = 2;
    retried.stages.values_mut().for_each(|outcome| {
        outcome.attempt = 2;
        outcome.retried_at = Some(now());
    });
    let entered = || running(StageStatus::InProgress);
    let of = |phase, status| Execution { phase, stages: ended(status), ..entered() };
    let failed = of(Phase::Failed { stage: Some(stage()) }, StageStatus::Failed);
    add("", &new(Execution { phase: Phase::Starting, stages: BTreeMap::new(), version: 0, ..entered() }));
    add("", &between(Execution { stages: BTreeMap::new(), ..entered() }, entered()));
    add("", &between(entered(), of(Phase::Succeeded, StageStatus::Succeeded)));
    add("", &between(entered(), failed.clone()));
    add("", &between(failed, retried));
    add("", &between(entered(), stopping.clone()));
    add("", &between(stopping, stopped));
    add("", &between(entered(), of(Phase::Cancelled, StageStatus::Cancelled)));
    add(
        "",
        &between(
            Execution { phase: Phase::Waiting { stage: stage() }, ..entered() },
            Execution { phase: Phase::Superseded, ..entered() },
        ),
    );
    let git = pushed(entered());
    add("git", &new(Execution { phase: Phase::Starting, stages: BTreeMap::new(), version: 0, ..git.clone() }));
    add(
        "git",
        &between(git.clone(), Execution { phase: Phase::Succeeded, stages: ended(StageStatus::Succeeded), ..git }),
    );
    let back = rollback(entered());
    add("rollback", &new(Execution { phase: Phase::Starting, stages: BTreeMap::new(), version: 0, ..back.clone() }));
    add("rollback", &between(back.clone(), Execution { phase: Phase::Failed { stage: Some(stage()) }, ..back }));
    for (version, status) in [(0, "InProgress"), (1, "Succeeded"), (1, "Failed"), (1, "Abandoned")] {
        add("", &Changes { runs: vec![run(version, status)], ..Changes::default() });
    }
    let states = [
        ArtifactState::Present,
        ArtifactState::Gone,
        ArtifactState::Altered,
        ArtifactState::Unreadable,
        ArtifactState::Present,
    ];
    for states in states.windows(2) {
        let (before, after) = (Some(kept(states[0])), kept(states[1]));
        add("", &Changes { kept: vec![KeptChange { before, after }], ..Changes::default() });
    }
    for outcome in outcomes() {
        add("", &Changes { decisions: vec![decision(outcome)], ..Changes::default() });
    }
    examples
}

/// What is kept for a stage, whose older target has its artifact in this state.
fn kept(state: ArtifactState) -> Kept {
    let artifact = |state, key: &str| {
        json!({ "name": "App", "at": { "bucket": "shop-artifacts", "key": key }, "state": state, "since": NOW,
            "digest": { "algorithm": "SHA256", "value": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" } })
    };
    serde_json::from_value(json!({
        "pipeline": "shop", "stage": "Prod", "checkedAt": NOW, "due": NOW, "version": 3,
        "targets": [
            { "execution": UNDONE, "artifacts": [artifact(ArtifactState::Present, "shop/App/0a1b2c3d4e5f")] },
            { "execution": TARGET, "artifacts": [artifact(state, "shop/App/f5e4d3c2b1a0")] },
        ],
    }))
    .expect("a row")
}

/// What can become of a decision, but for the start of a rollback, which its execution tells.
fn outcomes() -> Vec<RollbackOutcome> {
    let rollback = "01935c2a-4f00-7000-8000-000000000003".parse().map(domain::ExecutionId).expect("a constant");
    let reason = |text: &str| text.to_owned();
    vec![
        RollbackOutcome::Declined { reason: reason("no earlier execution succeeded in stage Prod as it is now.") },
        RollbackOutcome::Asked {
            reason: reason(
                "Alarm shop-5xx turned red at 2026-11-23T10:17:00Z. Nobody is clearly ahead of Prod of blog \
                 (01935c2a-4f00-7000-8000-000000000004, 731 of 1000), Prod of shop \
                 (01935c2a-4f00-7000-8000-000000000002, 845 of 1000).",
            ),
        },
        RollbackOutcome::Shadowed { target: None },
        RollbackOutcome::Helped { rollback },
        RollbackOutcome::DidNotHelp { rollback },
        RollbackOutcome::Reinstated {
            rollback,
            content: domain::ContentId::named("etag:9e107d9d372bb6826bd81d3542a419d6"),
            comment: reason("The database was to blame."),
        },
        RollbackOutcome::HoldReleased { rollback: Some(rollback), comment: reason("Prices are right again.") },
    ]
}

fn decision(outcome: RollbackOutcome) -> RollbackDecision {
    let id = |text: &str| domain::ExecutionId(text.parse().expect("a constant"));
    let released = matches!(outcome, RollbackOutcome::HoldReleased { .. } | RollbackOutcome::Reinstated { .. });
    let cause = if released {
        RollbackCause::by("arn:aws:sts::111122223333:assumed-role/release/ana")
    } else {
        let alarm_arn = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-5xx".to_owned();
        RollbackCause::Alarm { alarm_arn, reason: "Threshold Crossed".to_owned() }
    };
    RollbackDecision {
        pipeline: "shop".parse().expect("a constant"),
        stage: stage(),
        at: now(),
        execution: id(UNDONE),
        cause,
        undone: Some(id(UNDONE)),
        outcome,
        evidence: None,
        series: Vec::new(),
    }
}

fn new(row: Execution) -> Changes {
    Changes { executions: BTreeMap::from([(row.id, row)]), ..Changes::default() }
}

fn between(before: Execution, after: Execution) -> Changes {
    Changes { before: BTreeMap::from([(before.id, before)]), ..new(after) }
}

fn now() -> Timestamp {
    NOW.parse().expect("a constant")
}

fn stage() -> domain::StageName {
    "Prod".parse().expect("a constant")
}

fn inside(phase: Phase, status: StageStatus) -> Execution {
    let mut row: Execution = serde_json::from_value(json!({
        "id": "01935c2a-4f00-7000-8000-000000000003", "pipeline": "shop", "pipelineVersion": 7,
        "executionType": "STANDARD", "mode": "SUPERSEDED", "attempt": 1, "version": 4,
        "trigger": { "triggerType": "StartPipelineExecution",
            "triggerDetail": "arn:aws:sts::111122223333:assumed-role/release/ana" },
        "startedAt": "2026-11-23T10:15:02.125Z", "updatedAt": NOW, "phase": { "name": "Starting" },
    }))
    .expect("a row");
    row.phase = phase;
    row.stages = ended(status);
    row
}

fn ended(status: StageStatus) -> BTreeMap<domain::StageName, StageOutcome> {
    let outcome = json!({ "status": status, "fingerprint": "", "enteredAt": "2026-11-23T10:16:05.5Z" });
    BTreeMap::from([(stage(), serde_json::from_value(outcome).expect("an outcome"))])
}

fn pushed(mut row: Execution) -> Execution {
    let detail = json!({
        "author-display-name": "Ana Lind", "branch-name": "main", "commit-id": "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de",
        "full-repository-name": "harbour-books/shop", "provider-type": "GitHub",
    });
    row.trigger.trigger_type = TriggerType::WebhookV2;
    row.trigger.trigger_detail = Some(detail.to_string());
    row
}

fn rollback(row: Execution) -> Execution {
    let id = |text: &str| domain::ExecutionId(text.parse().expect("a constant"));
    let mut row = Execution {
        execution_type: domain::ExecutionType::Rollback,
        rollback: Some(RollbackOf {
            stage: stage(),
            target: id(TARGET),
            undone: Some(id(UNDONE)),
            fingerprint: None,
            cause: RollbackCause::Alarm { alarm_arn: String::new(), reason: String::new() },
        }),
        ..row
    };
    row.trigger.trigger_type = TriggerType::AutomatedRollback;
    row.trigger.trigger_detail = Some(json!({ "FailedPipelineExecutionId": UNDONE }).to_string());
    row
}

fn run(version: u64, status: &str) -> ActionRun {
    let failed = status == "Failed";
    serde_json::from_value(json!({
        "id": "47f8e1a0-6a3b-8c1d-9e2f-0a1b2c3d4e5f", "pipeline": "shop", "pipelineVersion": 7,
        "execution": "01935c2a-4f00-7000-8000-000000000003", "stage": "Prod", "action": "Deploy",
        "actionType": { "category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1" },
        "generation": 1, "status": status, "startedAt": "2026-11-23T10:16:06Z", "updatedAt": NOW,
        "roleArn": "arn:aws:iam::111122223333:role/shop", "version": version,
        "inputs": { "App": { "bucket": "shop-artifacts", "key": "shop/App/0a1b2c3d4e5f" } },
        "summary": (status == "Succeeded").then_some("Deployed 3 files."),
        "errorCode": failed.then_some("PermissionError"),
        "errorMessage": failed.then_some("AccessDenied on s3://shop-site/index.html"),
    }))
    .expect("a row")
}

/// The states of this list are all there are.
#[test]
fn no_state_is_left_out() {
    let documented: std::collections::BTreeSet<&str> =
        STATES.iter().flat_map(|(_, _, states)| states.iter().copied()).collect();
    for state in [
        EventState::Started,
        EventState::Succeeded,
        EventState::Failed,
        EventState::Resumed,
        EventState::Stopping,
        EventState::Stopped,
        EventState::Superseded,
        EventState::Canceled,
        EventState::Abandoned,
    ] {
        assert!(documented.contains(state.as_str()), "{state}");
    }
}

#[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the product's configuration")]
fn wants_update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}
