//! What calls something else, or asks a person.

use super::{ActionKind, ActionTypeInfo, DAY_S, MINUTE_S, aws};

pub(super) fn types() -> Vec<ActionTypeInfo> {
    vec![
        aws("Invoke", "Lambda", 0..=5, 0..=5)
            .run_as(ActionKind::Job)
            .required(&["FunctionName"])
            .optional(&["UserParameters"])
            .within(DAY_S)
            .heard_every(20 * MINUTE_S)
            .seen_at("https://console.aws.amazon.com/lambda/home#/functions/{Config:FunctionName}"),
        aws("Invoke", "StepFunctions", 0..=1, 0..=1)
            .run_as(ActionKind::Machine)
            .required(&["StateMachineArn"])
            .optional(&["ExecutionNamePrefix", "Input", "InputType"])
            .within(7 * DAY_S),
        aws("Invoke", "CodePipeline", 0..=0, 0..=0)
            .run_as(ActionKind::Machine)
            .v2()
            .required(&["PipelineName"])
            .optional(&["SourceRevisions", "Variables"]),
        aws("Invoke", "InspectorScan", 0..=1, 0..=1).required(&["InspectorRunMode"]).optional(&[
            "CriticalThreshold",
            "ECRRepositoryName",
            "HighThreshold",
            "ImageTag",
            "LowThreshold",
            "MediumThreshold",
        ]),
        aws("Invoke", "Snyk", 1..=1, 0..=1).of_third_party(),
        aws("Approval", "Manual", 0..=0, 0..=0)
            .run_as(ActionKind::Job)
            .optional(&["CustomData", "ExternalEntityLink", "NotificationArn"])
            .within(7 * DAY_S),
    ]
}
