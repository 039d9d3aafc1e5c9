//! The shipped state machines, with the names of local functions filled in.

use local_states::States;

use crate::{ACCOUNT, REGION};

/// Name of the machine that drives a pipeline execution.
pub(crate) const PIPELINE_EXECUTION: &str = "lastgood-pipeline-execution";
const STAGE_RUN: &str = "lastgood-stage-run";

/// The files as they are deployed.
const DEFINITIONS: [(&str, &str); 6] = [
    (STAGE_RUN, include_str!("../../../statemachine/stage-run.asl.json")),
    (PIPELINE_EXECUTION, include_str!("../../../statemachine/pipeline-execution.asl.json")),
    ("lastgood-action-CodeBuild", include_str!("../../../statemachine/actions/CodeBuild.asl.json")),
    ("lastgood-action-CodeDeploy", include_str!("../../../statemachine/actions/CodeDeploy.asl.json")),
    ("lastgood-action-CodePipeline", include_str!("../../../statemachine/actions/CodePipeline.asl.json")),
    ("lastgood-action-StepFunctions", include_str!("../../../statemachine/actions/StepFunctions.asl.json")),
];

/// What the template substitutes, and the function that is meant.
const FUNCTIONS: [(&str, &str); 5] = [
    ("ApiFunctionArn", "lastgood-api"),
    ("StageGateFunctionArn", "lastgood-stage-gate"),
    ("RunActionFunctionArn", "lastgood-run-action"),
    ("EvaluateConditionFunctionArn", "lastgood-evaluate-condition"),
    ("EvaluateRollbackFunctionArn", "lastgood-evaluate-rollback"),
];

/// Creates or updates all of them.
pub(crate) fn install(states: &States) -> anyhow::Result<()> {
    for (name, definition) in DEFINITIONS {
        let mut definition = definition.replace("${StageRunMachineArn}", &machine_arn(STAGE_RUN));
        for (variable, function) in FUNCTIONS {
            let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}");
            definition = definition.replace(&format!("${{{variable}}}"), &arn);
        }
        states.put_state_machine(name, &definition)?;
    }
    Ok(())
}

/// ARN of a local state machine.
pub(crate) fn machine_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_its_machine() {
        let installed: Vec<&str> =
            DEFINITIONS.iter().filter_map(|(name, _)| name.strip_prefix("lastgood-action-")).collect();
        let mut installed = installed;
        installed.sort_unstable();
        assert_eq!(installed, domain::action_machines().collect::<Vec<_>>());
    }
}
