//! Every minute, and when a state machine dies: finishes what a crash, a lost event or a lost answer left behind.
//!
//! **May touch**: everything that an effect may touch: the table, Step Functions, CloudWatch, artifacts, the user's
//! functions, the event bus, topics of SNS, the roles of pipelines.
//!
//! **Architecture invariants**: decides nothing of its own; it delivers what was decided, and asks the same judge.

use engine::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRoles, HasStore, Reconciled,
};
use serde::Deserialize;
use serde_json::Value;

/// Why it is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub enum Call {
    /// A tick of the schedule, whose event has no members that matter. Whatever is not understood is one too: a look does no harm.
    Tick {
        /// Nobody else is at work, as after a restart: leave nothing to others.
        alone: bool,
    },
    /// Step Functions tells that an execution of a state machine has died.
    Died {
        /// Its name.
        machine: String,
    },
}

impl From<Value> for Call {
    fn from(event: Value) -> Self {
        let of_states =
            event["source"] == "aws.states" && event["detail-type"] == "Step Functions Execution Status Change";
        match event["detail"]["name"].as_str().filter(|_| of_states) {
            Some(name) => Self::Died { machine: name.to_owned() },
            None => Self::Tick { alone: event["alone"] == true },
        }
    }
}

/// Handles a tick of the schedule, or looks at the one execution whose machine has died.
///
/// # Errors
/// The first error, after everything was tried; what failed is found again at the next tick.
pub async fn handle<W>(world: &W, call: Call) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasObjects + HasRoles,
{
    let mut done = Reconciled::default();
    let outcome = match call {
        Call::Tick { alone } => engine::reconcile(world, !alone, &mut done).await,
        Call::Died { machine } => engine::machine_died(world, &machine, &mut done).await,
    };
    log(&done);
    outcome
}

fn log(done: &Reconciled) {
    for missing in &done.artifacts_gone {
        tracing::warn!(missing, metric.ArtifactsGone = 1_u64, "a rollback would find nothing to go back to");
    }
    if done.stages_probed > 0 {
        let Reconciled { stages_probed, probe_requests, .. } = done;
        tracing::info!(stages_probed, probe_requests, "looked at what rollbacks would need");
    }
    if done.events_lost > 0 {
        let events_lost = done.events_lost;
        tracing::error!(
            events_lost,
            metric.EventsLost = events_lost as u64,
            "events were given up: the event bus refuses them, or was away for a day"
        );
    }
    if done.effects_failed > 0 {
        let effects_failed = done.effects_failed;
        tracing::warn!(
            effects_failed,
            metric.EffectsLate = effects_failed as u64,
            "effects could not be performed and are tried again at the next tick"
        );
    }
    for judged in &done.judged {
        tracing::info!(
            pipeline.name = %judged.pipeline,
            stage.name = %judged.stage,
            execution.id = %judged.evidence.execution,
            verdict = ?judged.evidence.verdict,
            "alarm found red: {}",
            judged.evidence.reason
        );
    }
    if done.effects + done.executions + done.watches_ended + done.conditions > 0 {
        let Reconciled { effects, executions, watches_ended, conditions, .. } = done;
        tracing::info!(effects, executions, watches_ended, conditions, "finished what was left behind");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_death_names_its_machine_and_everything_else_is_a_tick() {
        // As Step Functions sends it, input and output left out.
        let died = json!({
            "version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175", "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change", "account": "111122223333", "region": "eu-west-1",
            "time": "2026-11-26T19:42:21Z", "resources": ["arn:aws:states:eu-west-1:111122223333:execution:lastgood-pipeline-execution:e-1"],
            "detail": {
                "executionArn": "arn:aws:states:eu-west-1:111122223333:execution:lastgood-pipeline-execution:e-1",
                "stateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:lastgood-pipeline-execution",
                "name": "e-1", "status": "FAILED", "startDate": 1_551_225_146_847_u64, "stopDate": 1_551_225_151_881_u64,
            },
        });
        let read = |event: &Value| serde_json::from_value::<Call>(event.clone()).unwrap();
        assert_eq!(read(&died), Call::Died { machine: "e-1".to_owned() });
        let mut strange =
            vec![died.clone(), died.clone(), died.clone(), json!({}), json!(null), json!("x"), json!([1])];
        strange[0]["detail"] = json!("none");
        strange[1]["detail"]["name"] = json!(7);
        strange[2]["source"] = json!("somebody");
        strange.push(json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}));
        strange.push(json!({"alone": "yes"}));
        for event in strange {
            assert_eq!(read(&event), Call::Tick { alone: false }, "{event}");
        }
        assert_eq!(read(&json!({"alone": true})), Call::Tick { alone: true });
    }
}
