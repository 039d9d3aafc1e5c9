//! The shipped state machines, with the names of local functions filled in.

use domain::partition_of;
use local_states::States;

use crate::{ACCOUNT, REGION};

/// Name of the machine that drives a pipeline execution.
pub(crate) const PIPELINE_EXECUTION: &str = "lastgood-pipeline-execution";
const STAGE_RUN: &str = "lastgood-stage-run";

/// The files as they are deployed.
const DEFINITIONS: [(&str, &str); 7] = [
    (STAGE_RUN, include_str!("../../../statemachine/stage-run.asl.json")),
    (PIPELINE_EXECUTION, include_str!("../../../statemachine/pipeline-execution.asl.json")),
    ("lastgood-action-CodeBuild", include_str!("../../../statemachine/actions/CodeBuild.asl.json")),
    ("lastgood-action-CodeDeploy", include_str!("../../../statemachine/actions/CodeDeploy.asl.json")),
    ("lastgood-action-CodePipeline", include_str!("../../../statemachine/actions/CodePipeline.asl.json")),
    ("lastgood-action-Commands", include_str!("../../../statemachine/actions/Commands.asl.json")),
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

/// The project of CodeBuild that Commands run in, at whoever stands in for CodeBuild.
const COMMANDS_PROJECT: &str = "lastgood-commands";

/// Creates or updates all of them.
pub(crate) fn install(states: &States) -> anyhow::Result<()> {
    for (name, definition) in DEFINITIONS {
        states.put_state_machine(name, &filled_in(definition))?;
    }
    Ok(())
}

/// A definition with the names of this process in it.
fn filled_in(definition: &str) -> String {
    let mut definition = definition
        .replace("${Partition}", partition_of(REGION))
        .replace("${StageRunMachineArn}", &machine_arn(STAGE_RUN))
        .replace("${CommandsProjectName}", COMMANDS_PROJECT);
    for (variable, function) in FUNCTIONS {
        let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}");
        definition = definition.replace(&format!("${{{variable}}}"), &arn);
    }
    definition
}

/// ARN of a local state machine.
pub(crate) fn machine_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (name, definition) in DEFINITIONS {
            assert!(definition.contains("${"), "{name} names nothing");
            let filled = filled_in(definition);
            let left = filled.split("${").nth(1).and_then(|rest| rest.split('}').next());
            assert_eq!(left, None, "{name}");
        }
    }

    #[test]
    fn every_provider_has_its_machine() {
        let installed: Vec<&str> =
            DEFINITIONS.iter().filter_map(|(name, _)| name.strip_prefix("lastgood-action-")).collect();
        let mut installed = installed;
        installed.sort_unstable();
        assert_eq!(installed, domain::action_machines().collect::<Vec<_>>());
    }
}
