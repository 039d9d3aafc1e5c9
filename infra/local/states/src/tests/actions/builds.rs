//! What CodeBuild is asked for: builds, batches and commands, of actions and of rules.

use serde_json::{Value, json};

use super::{
    project,
    stage::{CODE_BUILD, CODE_BUILD_BATCH, COMMANDS, CONSOLE, Story},
};

const WORK: &str = "shop:0c6f9d6e-6b5c-4a53-9a9a-0f0d9b6a7c11";

#[tokio::test]
async fn a_build_reads_and_writes_where_the_pipeline_keeps_artifacts() {
    let configuration = json!({
        "ProjectName": "shop", "PrimarySource": "App",
        "EnvironmentVariables": "[{\"name\":\"Color\",\"value\":\"green\",\"type\":\"PLAINTEXT\"},{\"name\":\"Key\",\"value\":\"k\",\"type\":\"SECRETS_MANAGER\"}]",
    });
    let story = Story {
        configuration,
        inputs: vec!["App", "Tools"],
        outputs: vec!["Site"],
        kms_key: Some("key-1"),
        start: vec!["started"],
        look: vec!["succeeded"],
        ..Story::default()
    };
    let told = CODE_BUILD.tell(story).await;
    let site = json!({
        "Type": "S3", "Location": "artifacts", "Path": "shop/Site", "Name": "x1", "NamespaceType": "NONE",
        "Packaging": "ZIP", "OverrideArtifactName": false, "EncryptionDisabled": false,
    });
    let asked = json!({
        "ProjectName": "shop",
        "IdempotencyToken": "3f0d7c1e-0d0a-5f1e-8a1b-000000000001",
        "SourceTypeOverride": "S3",
        "SourceLocationOverride": "artifacts/shop/App/x1",
        "SecondarySourcesOverride": [{ "Type": "S3", "Location": "artifacts/shop/Tools/x1", "SourceIdentifier": "Tools" }],
        "ArtifactsOverride": site,
        "SecondaryArtifactsOverride": [],
        "EnvironmentVariablesOverride": [
            { "Name": "Color", "Value": "green", "Type": "PLAINTEXT" },
            { "Name": "Key", "Value": "k", "Type": "SECRETS_MANAGER" },
        ],
        "EncryptionKeyOverride": "key-1",
    });
    assert_eq!(told.asked(CODE_BUILD.start), [asked]);
    let report = told.last();
    assert_eq!(report["outputVariables"], json!({ "IMAGE_TAG": "1.4.2", "COMMIT": "9f1c2d3" }));
    assert_eq!(report["externalExecutionId"], WORK);
    let build = WORK.replace(':', "%3A");
    assert_eq!(
        report["externalExecutionUrl"],
        format!("{CONSOLE}/codesuite/codebuild/111122223333/projects/shop/build/{build}")
    );
}

#[tokio::test]
async fn a_build_with_several_outputs_writes_them_by_name_and_one_with_one_input_needs_no_primary() {
    let story = Story {
        configuration: project(),
        inputs: vec!["App"],
        outputs: vec!["Docs", "Site"],
        start: vec!["started"],
        look: vec!["succeededWithoutVariables"],
        ..Story::default()
    };
    let told = CODE_BUILD.tell(story).await;
    let asked = told.asked(CODE_BUILD.start).remove(0);
    assert_eq!(asked["ArtifactsOverride"], json!({ "Type": "NO_ARTIFACTS" }));
    assert_eq!(asked["SecondarySourcesOverride"], json!([]));
    let secondary: Vec<(&Value, &Value)> = asked["SecondaryArtifactsOverride"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["ArtifactIdentifier"], &one["Path"]))
        .collect();
    assert_eq!(secondary, [(&json!("Docs"), &json!("shop/Docs")), (&json!("Site"), &json!("shop/Site"))]);
    assert!(asked.get("EncryptionKeyOverride").is_none() && asked.get("EnvironmentVariablesOverride").is_none());
    assert_eq!(told.last()["outputVariables"], json!({}));
}

#[tokio::test]
async fn a_rule_reports_by_its_job() {
    let rule = Some("5d0c8f1a-0000-5000-8000-000000000007");
    let (start, look) = (vec!["started"], vec!["succeeded"]);
    let told = CODE_BUILD.tell(Story { configuration: project(), rule, start, look, ..Story::default() }).await;
    let calls = told.world.functions.calls("run-action");
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call["rule"] == json!(rule)), "{calls:?}");
    let asked = told.asked(CODE_BUILD.start).remove(0);
    assert!(asked.get("SourceTypeOverride").is_none(), "a rule may read nothing: {asked}");
}

#[tokio::test]
async fn commands_are_the_buildspec_of_a_build_as_the_role_of_the_pipeline() {
    let script = json!({
        "commands": ["make test"], "primary": "Tools", "exports": ["Tag"], "files": ["out/**"],
        "environment": [{ "name": "Key", "value": "prod/key", "type": "SECRETS_MANAGER" }, { "name": "A", "value": "b" }],
    });
    let story = Story {
        script,
        inputs: vec!["App", "Tools"],
        outputs: vec!["Site"],
        start: vec!["started"],
        look: vec!["succeeded"],
        ..Story::default()
    };
    let told = COMMANDS.tell(story).await;
    let mut asked = told.asked(COMMANDS.start).remove(0);
    let spec: Value = serde_json::from_str(asked["BuildspecOverride"].as_str().unwrap()).unwrap();
    let expected = json!({
        "version": "0.2", "phases": { "build": { "commands": ["make test"] } },
        "env": { "exported-variables": ["Tag"] }, "artifacts": { "files": ["out/**"] },
    });
    assert_eq!(spec, expected);
    asked.as_object_mut().unwrap().remove("BuildspecOverride");
    assert_eq!(asked["ArtifactsOverride"]["Path"], "shop/Site");
    asked.as_object_mut().unwrap().remove("ArtifactsOverride");
    let expected = json!({
        "ProjectName": "lastgood-commands",
        "IdempotencyToken": "3f0d7c1e-0d0a-5f1e-8a1b-000000000001",
        "ServiceRoleOverride": "arn:aws:iam::111122223333:role/pipeline",
        "SourceTypeOverride": "S3",
        "SourceLocationOverride": "artifacts/shop/Tools/x1",
        "SecondarySourcesOverride": [{ "Type": "S3", "Location": "artifacts/shop/App/x1", "SourceIdentifier": "App" }],
        "EnvironmentVariablesOverride": [
            { "Name": "Key", "Value": "prod/key", "Type": "SECRETS_MANAGER" },
            { "Name": "A", "Value": "b", "Type": "PLAINTEXT" },
        ],
    });
    assert_eq!(asked, expected);
    assert_eq!(told.last()["outputVariables"], json!({ "IMAGE_TAG": "1.4.2", "COMMIT": "9f1c2d3" }));
    assert!(told.last()["externalExecutionUrl"].as_str().unwrap().contains("/projects/lastgood-commands/build/"));
    // Without artifacts, exports and environment, as for a rule.
    let script = json!({ "commands": ["a", "b"], "primary": null, "exports": [], "files": [], "environment": [] });
    let (start, look) = (vec!["started"], vec!["succeededWithoutVariables"]);
    let told = COMMANDS.tell(Story { script, start, look, ..Story::default() }).await;
    let asked = told.asked(COMMANDS.start).remove(0);
    let spec = json!({ "version": "0.2", "phases": { "build": { "commands": ["a", "b"] } } });
    assert_eq!(serde_json::from_str::<Value>(asked["BuildspecOverride"].as_str().unwrap()).unwrap(), spec);
    assert_eq!(asked["EnvironmentVariablesOverride"], json!([]));
    assert!(asked.get("SourceTypeOverride").is_none(), "{asked}");
}

#[tokio::test]
async fn a_batch_of_builds_runs_like_a_build() {
    let configuration = json!({ "ProjectName": "shop", "BatchEnabled": "true", "CombineArtifacts": "true" });
    let story = |look: Vec<&'static str>| Story {
        configuration: configuration.clone(),
        inputs: vec!["App"],
        outputs: vec!["Site"],
        start: vec!["throttled", "throttled", "throttled", "throttled", "batchStarted"],
        look,
        stop: vec!["batchStopped"],
        ..Story::default()
    };
    let told = CODE_BUILD_BATCH.tell(story(vec!["batchRunning", "batchSucceeded"])).await;
    let asked = told.asked(CODE_BUILD_BATCH.start).remove(0);
    assert_eq!(asked["BuildBatchConfigOverride"], json!({ "CombineArtifacts": true }));
    assert_eq!((&asked["ArtifactsOverride"]["Path"], told.turns()), (&json!("shop/Site"), 1));
    let report = told.last();
    assert_eq!((&report["status"], &report["outputVariables"]), (&json!("Succeeded"), &json!({})));
    assert!(report["externalExecutionUrl"].as_str().unwrap().contains("/batch/shop%3A5a1c"), "{report}");
    let told = CODE_BUILD_BATCH.tell(story(vec!["batchRunning", "batchFailed"])).await;
    let message = "Batch terminated with state: FAILED. Phase: DOWNLOAD_BATCHSPEC. YAML file does not exist";
    assert_eq!(told.last()["error"]["message"], message);
    let told = CODE_BUILD_BATCH.tell(Story { noted: Some("Abandoned"), ..story(vec![]) }).await;
    assert_eq!((told.reports().len(), told.stops()), (1, 1));
    let told = CODE_BUILD_BATCH.tell(Story { stops: Some("shop:1"), ..story(vec![]) }).await;
    assert_eq!(told.asked(CODE_BUILD_BATCH.stop), [json!({ "Id": "shop:1" })]);
}
