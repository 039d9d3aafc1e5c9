//! The shipped state machines, with the names of the functions filled in.

use std::sync::LazyLock;

use local_states::{Arn, Definitions, States};

use crate::cloud::{ACCOUNT, REGION};

const STAGE_RUN: &str = include_str!("../../statemachine/stage-run.asl.json");
const PIPELINE_EXECUTION: &str = include_str!("../../statemachine/pipeline-execution.asl.json");
/// Machines of providers, by the provider's name.
const ACTIONS: [(&str, &str); 2] = [
    ("CodeBuild", include_str!("../../statemachine/actions/CodeBuild.asl.json")),
    ("CodePipeline", include_str!("../../statemachine/actions/CodePipeline.asl.json")),
];
/// What the template substitutes, and the function that is meant.
const FUNCTIONS: [(&str, &str); 5] = [
    ("ApiFunctionArn", "api"),
    ("StageGateFunctionArn", "stage-gate"),
    ("RunActionFunctionArn", "run-action"),
    ("EvaluateConditionFunctionArn", "evaluate-condition"),
    ("EvaluateRollbackFunctionArn", "evaluate-rollback"),
];

/// What all simulations run, parsed once.
pub(crate) static PARSED: LazyLock<Definitions> = LazyLock::new(Definitions::default);

/// Creates all machines; the one that drives pipeline executions is returned.
pub(crate) fn install(states: &States) -> anyhow::Result<Arn> {
    for (provider, definition) in ACTIONS {
        states.put_state_machine(&format!("action-{provider}"), &filled(definition))?;
    }
    let stage_run = states.put_state_machine("stage-run", &filled(STAGE_RUN))?;
    let pipeline_execution = filled(PIPELINE_EXECUTION).replace("${StageRunMachineArn}", stage_run.as_str());
    Ok(states.put_state_machine("pipeline-execution", &pipeline_execution)?)
}

fn filled(definition: &str) -> String {
    FUNCTIONS.iter().fold(definition.replace("${Partition}", "aws"), |text, (variable, function)| {
        let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}");
        text.replace(&format!("${{{variable}}}"), &arn)
    })
}
