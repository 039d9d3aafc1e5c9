//! A pipeline's JSON as the SDK's types, which read none by themselves.

use std::collections::HashMap;

use aws_sdk_codepipeline::{
    error::BuildError,
    types::{
        ActionCategory, ActionDeclaration, ActionOwner, ActionTypeId, ArtifactStore, ArtifactStoreType, ExecutionMode,
        FailureConditions, InputArtifact, OutputArtifact, PipelineDeclaration, PipelineType, Result as StageResult,
        StageDeclaration,
    },
};
use serde_json::Value;

/// The members that the pipelines of these tests have.
pub fn read(json: &str) -> Result<PipelineDeclaration, Box<dyn std::error::Error>> {
    let json: Value = serde_json::from_str(json)?;
    let store = &json["artifactStore"];
    let store = ArtifactStore::builder()
        .r#type(ArtifactStoreType::from(text(&store["type"])))
        .location(text(&store["location"]));
    let stages: Result<Vec<_>, _> = list(&json["stages"]).iter().map(stage).collect();
    Ok(PipelineDeclaration::builder()
        .name(text(&json["name"]))
        .role_arn(text(&json["roleArn"]))
        .pipeline_type(PipelineType::from(text(&json["pipelineType"])))
        .execution_mode(ExecutionMode::from(text(&json["executionMode"])))
        .artifact_store(store.build()?)
        .set_stages(Some(stages?))
        .build()?)
}

fn stage(json: &Value) -> Result<StageDeclaration, BuildError> {
    let actions: Result<Vec<_>, _> = list(&json["actions"]).iter().map(action).collect();
    let on_failure = json["onFailure"]["result"].as_str().map(StageResult::from);
    StageDeclaration::builder()
        .name(text(&json["name"]))
        .set_actions(Some(actions?))
        .set_on_failure(on_failure.map(|result| FailureConditions::builder().result(result).build()))
        .build()
}

fn action(json: &Value) -> Result<ActionDeclaration, BuildError> {
    let id = &json["actionTypeId"];
    let id = ActionTypeId::builder()
        .category(ActionCategory::from(text(&id["category"])))
        .owner(ActionOwner::from(text(&id["owner"])))
        .provider(text(&id["provider"]))
        .version(text(&id["version"]));
    let configuration = json["configuration"].as_object().into_iter().flatten();
    let configuration: HashMap<_, _> =
        configuration.map(|(key, value)| (key.clone(), text(value).to_owned())).collect();
    let mut action = ActionDeclaration::builder()
        .name(text(&json["name"]))
        .action_type_id(id.build()?)
        .set_run_order(json["runOrder"].as_i64().and_then(|order| i32::try_from(order).ok()))
        .set_configuration(Some(configuration));
    for artifact in list(&json["inputArtifacts"]) {
        action = action.input_artifacts(InputArtifact::builder().name(text(&artifact["name"])).build()?);
    }
    for artifact in list(&json["outputArtifacts"]) {
        action = action.output_artifacts(OutputArtifact::builder().name(text(&artifact["name"])).build()?);
    }
    action.build()
}

fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_default()
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}
