//! Pipelines of CodePipeline as `get-pipeline` prints them: fed, kept and given back.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::world::{Bench, shop};

/// Name and content of each file in `tests/pipelines`.
fn printed() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelines");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    };
    let found: Vec<_> = files.map(read).collect();
    assert!(found.len() >= 4, "{found:?}");
    found
}

#[tokio::test]
async fn pipelines_come_back_as_they_were_fed() {
    let bench = Bench::new().await;
    for (file, printed) in printed() {
        // The whole file goes in, metadata and version included; the server counts versions itself.
        let created = bench.ok("CreatePipeline", printed.clone()).await;
        let mut expected = printed["pipeline"].clone();
        expected["version"] = json!(1);
        assert_eq!(created["pipeline"], expected, "{file}");
        let name = json!({"name": expected["name"]});
        let read = bench.ok("GetPipeline", name.clone()).await;
        assert_eq!(read["pipeline"], expected, "{file}");

        let updated = bench.ok("UpdatePipeline", read).await;
        expected["version"] = json!(2);
        assert_eq!(updated["pipeline"], expected, "{file}");
        bench.ok("DeletePipeline", name).await;
        let again = bench.ok("CreatePipeline", updated).await;
        expected["version"] = json!(1);
        assert_eq!(again["pipeline"], expected, "{file}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let bench = Bench::new().await;
    let mut sent = shop();
    let action = sent["stages"][0]["actions"][0].as_object_mut().unwrap();
    action.remove("runOrder");
    sent["stages"][1]["actions"][0].as_object_mut().unwrap().remove("outputArtifacts");
    sent.as_object_mut().unwrap().remove("executionMode");
    let created = bench.ok("CreatePipeline", json!({"pipeline": sent})).await["pipeline"].clone();
    let source = &created["stages"][0]["actions"][0];
    assert_eq!((&source["runOrder"], &source["inputArtifacts"]), (&json!(1), &json!([])));
    assert_eq!(created["stages"][1]["actions"][0]["outputArtifacts"], json!([]));
    assert_eq!(created["executionMode"], "SUPERSEDED");
}

#[tokio::test]
async fn every_version_can_be_read_until_the_pipeline_goes() {
    let bench = Bench::new().await;
    for color in ["green", "blue", "red"] {
        let mut pipeline = shop();
        pipeline["variables"][0]["defaultValue"] = json!(color);
        let operation = if color == "green" { "CreatePipeline" } else { "UpdatePipeline" };
        bench.ok(operation, json!({"pipeline": pipeline})).await;
    }
    for (version, color) in [(1, "green"), (2, "blue"), (3, "red")] {
        let read = bench.ok("GetPipeline", json!({"name": "shop", "version": version})).await["pipeline"].clone();
        assert_eq!(read["version"], version);
        assert_eq!(read["variables"][0]["defaultValue"], color);
    }
    let unknown = |version: u32| {
        (json!({"name": "shop", "version": version}), "PipelineVersionNotFoundException", "has no version")
    };
    bench.refuses("GetPipeline", &[unknown(4)]).await;
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    bench.refuses("GetPipeline", &[unknown(2), unknown(3)]).await;
    bench.ok("UpdatePipeline", json!({"pipeline": shop()})).await;
    bench.refuses("GetPipeline", &[unknown(3)]).await;
}

#[tokio::test]
async fn what_takes_the_account_to_know_is_refused_in_codepipelines_words() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let with = |member: &str, value: &str| {
        let mut pipeline = shop();
        pipeline[member] = json!(value);
        json!({"pipeline": pipeline})
    };
    let closed = "arn:aws:iam::111122223333:role/closed";
    let not_authorized = format!("CodePipeline is not authorized to perform AssumeRole on role {closed}");
    let cases = [
        (
            "CreatePipeline",
            json!({"pipeline": shop()}),
            "PipelineNameInUseException",
            "A pipeline with the name 'shop' already exists in account '111122223333'",
        ),
        ("CreatePipeline", with("roleArn", closed), "InvalidStructureException", &not_authorized),
        ("UpdatePipeline", with("roleArn", closed), "InvalidStructureException", &not_authorized),
        (
            "UpdatePipeline",
            with("name", "blog"),
            "ResourceNotFoundException",
            "The account with id '111122223333' does not include a pipeline with the name 'blog'",
        ),
        (
            "GetPipeline",
            json!({"name": "blog"}),
            "PipelineNotFoundException",
            "Account '111122223333' does not have a pipeline with name 'blog'",
        ),
    ];
    for (operation, input, exception, message) in cases {
        let refused = bench.refused(operation, input).await;
        assert_eq!(refused, (exception.to_owned(), message.to_owned()), "{operation}");
    }
}

#[tokio::test]
async fn a_secret_is_shown_to_nobody_and_kept_when_its_mask_comes_back() {
    let bench = Bench::new().await;
    let (_, mut printed) = printed().into_iter().find(|(file, _)| file.starts_with("v1-github")).unwrap();
    let secret = |pipeline: &Value| pipeline["stages"][0]["actions"][0]["configuration"]["OAuthToken"].clone();
    printed["pipeline"]["stages"][0]["actions"][0]["configuration"]["OAuthToken"] = json!("sesame");
    let created = bench.ok("CreatePipeline", json!({"pipeline": printed["pipeline"]})).await["pipeline"].clone();
    assert_eq!(secret(&created), "****");
    let updated = bench.ok("UpdatePipeline", json!({"pipeline": created})).await["pipeline"].clone();
    assert_eq!(secret(&updated), "****");
    for version in [1, 2] {
        let read = bench.ok("GetPipeline", json!({"name": "orders-v1", "version": version})).await;
        assert_eq!(secret(&read["pipeline"]), "****");
    }
    let name = "orders-v1".parse().unwrap();
    let view = engine::load_view(&bench.world, &name).await.unwrap();
    let stored = engine::load_declaration(&bench.world, &view.index).await.unwrap();
    assert_eq!(stored.stages[0].actions[0].configuration["OAuthToken"], "sesame");
}

#[tokio::test]
async fn differences_are_reported_and_nothing_is_created() {
    let bench = Bench::new().await;
    let report = |findings: &Value| -> Vec<(String, String)> {
        let text = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
        let findings = findings["findings"].as_array().unwrap();
        findings.iter().map(|finding| (text(finding, "severity"), text(finding, "path"))).collect()
    };
    let at = |severity: &str, path: &str| (severity.to_owned(), path.to_owned());
    for (file, printed) in printed() {
        let found = report(&bench.ok("ReportCompatibility", printed).await);
        assert!(!found.iter().any(|(severity, _)| severity == "REFUSED"), "{file}: {found:?}");
        let expected = match file.as_str() {
            "v1-github-codebuild-cloudformation" => vec![
                at("UNSUPPORTED", "pipeline.stages.1.member.actions.1.member.actionTypeId"),
                at("DIFFERENT", "pipeline.stages.1.member.actions.1.member.configuration.OAuthToken.member"),
                at("DIFFERENT", "pipeline.stages.3.member.actions.2.member.configuration.NotificationArn.member"),
                at("DIFFERENT", "pipeline.artifactStore.encryptionKey"),
                at("IGNORED", "pipeline.version"),
            ],
            "cross-region" => vec![
                at("DIFFERENT", "pipeline.stages.2.member.actions.2.member.region"),
                at("DIFFERENT", "pipeline.artifactStores.us-east-1.member.encryptionKey"),
            ],
            "v2-triggers-variables-conditions" => vec![
                at("DIFFERENT", "pipeline.triggers.1.member"),
                at("DIFFERENT", "pipeline.stages.3.member.onSuccess.conditions.1.member.rules.2.member.roleArn"),
            ],
            "many-providers" => vec![
                at("UNSUPPORTED", "pipeline.stages.1.member.actions.1.member.actionTypeId"),
                at("UNSUPPORTED", "pipeline.stages.5.member.actions.7.member.actionTypeId"),
                at("DIFFERENT", "pipeline.stages.5.member.actions.7.member.configuration.ClientSecret.member"),
                at("DIFFERENT", "pipeline.stages.5.member.actions.8.member.roleArn"),
            ],
            _ => vec![at("UNSUPPORTED", "pipeline.stages.5.member.actions.1.member.actionTypeId")],
        };
        for finding in expected {
            assert!(found.contains(&finding), "{file}: {finding:?} is not in {found:#?}");
        }
    }
    let mut broken = shop();
    broken["stages"][1]["name"] = json!("Source");
    broken["stages"][1]["actions"][0]["actionTypeId"]["provider"] = json!("Banana");
    let found = report(&bench.ok("ReportCompatibility", json!({"pipeline": broken})).await);
    assert!(found.contains(&at("REFUSED", "pipeline")), "{found:?}");
    assert!(found.contains(&at("REFUSED", "pipeline.stages.2.member.actions.1.member.actionTypeId")), "{found:?}");
    let nothing = json!({"pipeline": {"name": "x"}});
    bench.refuses("ReportCompatibility", &[(nothing, "ValidationException", "pipeline.roleArn")]).await;
    assert_eq!(bench.ok("ListPipelines", json!({})).await, json!({"pipelines": []}));
}
