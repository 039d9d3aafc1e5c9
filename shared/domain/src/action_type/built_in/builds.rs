//! What builds, tests and runs commands.

use super::{ActionKind, ActionTypeInfo, HOUR_S, MINUTE_S, aws};

pub(super) fn types() -> Vec<ActionTypeInfo> {
    vec![
        code_build("Build").within(36 * HOUR_S),
        code_build("Test").within(8 * HOUR_S),
        aws("Build", "ECRBuildAndPublish", 1..=1, 0..=0).v2().required(&["ECRRepositoryName"]).optional(&[
            "DockerFilePath",
            "ImageTags",
            "RegistryType",
        ]),
        aws("Test", "DeviceFarm", 1..=1, 0..=0)
            .required(&["ProjectId", "AppType", "App", "DevicePoolArn"])
            .optional(&["AppiumVersion", "FuzzEventCount", "FuzzEventThrottle", "Test", "TestSpec", "TestType"]),
        // What it runs is in the action's own member `commands`.
        aws("Compute", "Commands", 1..=10, 0..=1).v2().run_as(ActionKind::Machine).within(55 * MINUTE_S),
    ]
}

fn code_build(category: &str) -> ActionTypeInfo {
    aws(category, "CodeBuild", 1..=5, 0..=5)
        .run_as(ActionKind::Machine)
        .required(&["ProjectName"])
        .optional(&["BatchEnabled", "BuildspecOverride", "CombineArtifacts", "EnvironmentVariables", "PrimarySource"])
        .seen_at("https://console.aws.amazon.com/codebuild/home#/projects/{Config:ProjectName}/view")
}
