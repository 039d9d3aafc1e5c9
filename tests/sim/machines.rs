//! The shipped state machines, with the names of the functions filled in.

use local_states::{Arn, States};

use crate::cloud::{ACCOUNT, REGION};

const STAGE_RUN: &str = include_str!("../../statemachine/stage-run.asl.json");
const PIPELINE_EXECUTION: &str = include_str!("../../statemachine/pipeline-execution.asl.json");
/// What the template substitutes, and the function that is meant.
const FUNCTIONS: [(&str, &str); 4] = [
    ("StageGateFunctionArn", "stage-gate"),
    ("RunActionFunctionArn", "run-action"),
    ("EvaluateConditionFunctionArn", "evaluate-condition"),
    ("EvaluateRollbackFunctionArn", "evaluate-rollback"),
];

/// Creates both machines; the one that drives pipeline executions is returned.
pub(crate) fn install(states: &States) -> anyhow::Result<Arn> {
    let stage_run = states.put_state_machine("stage-run", &filled(STAGE_RUN))?;
    let pipeline_execution = filled(PIPELINE_EXECUTION).replace("${StageRunMachineArn}", stage_run.as_str());
    Ok(states.put_state_machine("pipeline-execution", &pipeline_execution)?)
}

fn filled(definition: &str) -> String {
    FUNCTIONS.iter().fold(definition.to_owned(), |text, (variable, function)| {
        let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}");
        text.replace(&format!("${{{variable}}}"), &arn)
    })
}
