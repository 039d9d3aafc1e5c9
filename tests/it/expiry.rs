//! An approval that nobody answers: the shipped state machine, on a clock that stands still until it is told to go on.

use std::sync::Arc;

use domain::{Catalogue, PipelineDeclaration, PipelineIndex, action_groups};
use engine::ports::{Machine, Machines};
use jiff::{SignedDuration, Timestamp};
use local_states::{Arn, Call, Definitions, States};
use runtime::{ManualClock, SeededEntropy};
use serde_json::{Value, json};

use crate::world::{approval, pipeline};

const STAGE_RUN: &str = include_str!("../../statemachine/stage-run.asl.json");
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// When everything here begins.
fn begin() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().expect("a constant")
}

/// The machine that runs a stage as it is shipped. Whoever holds it answers what it asks.
pub(crate) fn stage_run() -> (States, Arn, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(begin()));
    let states = States::in_memory(clock.clone(), Arc::new(SeededEntropy::new(1)), &Definitions::default())
        .expect("a store in memory");
    let definition = ["RunAction", "EvaluateCondition", "EvaluateRollback"].iter().fold(
        STAGE_RUN.replace("${Partition}", "aws"),
        |text, name| {
            text.replace(
                &format!("${{{name}FunctionArn}}"),
                &format!("arn:aws:lambda:eu-west-1:111122223333:function:{name}"),
            )
        },
    );
    let machine = states.put_state_machine("stage-run", &definition).expect("it is what is shipped");
    (states, machine, clock)
}

/// The stage Deploy of a pipeline that asks, run by its machine until somebody has to answer.
async fn asking(timeout_in_minutes: Option<u32>) -> (States, Arc<ManualClock>) {
    let (states, machine, clock) = stage_run();
    let mut action = approval(1);
    if let Some(minutes) = timeout_in_minutes {
        action["timeoutInMinutes"] = json!(minutes);
    }
    let declaration: PipelineDeclaration = serde_json::from_value(pipeline("asked", &[action])).expect("a pipeline");
    let index = PipelineIndex::new(&declaration, &Catalogue::default(), 1, String::new(), String::new(), begin());
    let input = json!({
        "pipeline": "asked", "executionId": "01935c2a-4f00-7000-8000-000000000003", "stage": "Deploy", "generation": 1,
        "attempt": 1, "groups": action_groups(&index.stages[1]), "entryCondition": false, "successCondition": false,
    });
    states.driving(&machine).start(Machine::PipelineExecution, "run", &input).await.expect("it starts");
    let asked = only(&states);
    assert_eq!((asked.function.as_str(), &asked.payload["operation"]), ("RunAction", &json!("Run")));
    // The approval is handed out; its token is answered by whoever answers the approval.
    states.returned(&asked, Ok(json!({ "status": "InProgress" }))).expect("the store works");
    assert!(states.take_calls().is_empty());
    (states, clock)
}

/// The one call that has to be made.
pub(crate) fn only(states: &States) -> Call {
    let mut calls = states.take_calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls.remove(0)
}

#[tokio::test]
async fn an_approval_fails_after_a_week_or_when_its_action_says() {
    for (declared, patience) in [(None, SignedDuration::from_hours(7 * 24)), (Some(90), SignedDuration::from_mins(90))]
    {
        let (states, clock) = asking(declared).await;
        let begin = engine::ports::Clock::now(&*clock);
        clock.advance_to(begin + patience - MINUTE);
        states.wake().expect("the store works");
        assert!(states.take_calls().is_empty(), "there is a minute left");
        clock.advance_to(begin + patience);
        states.wake().expect("the store works");
        let expired = only(&states);
        assert_eq!((expired.function.as_str(), &expired.payload["operation"]), ("RunAction", &json!("Expire")));
        assert_eq!((&expired.payload["action"], expired.payload.get("token")), (&json!("Approve"), None::<&Value>));
        states.returned(&expired, Ok(json!({ "status": "Failed" }))).expect("the store works");
        assert_eq!(only(&states).function, "EvaluateRollback", "a failed action fails the stage");
    }
}
