//! Templates as people write them, and what comes of them.

use serde_json::{Value, json};

use super::{Imported, Options, import};

fn options(parameters: &[&str]) -> Options {
    Options {
        file: "pipeline".into(),
        parameters: parameters.iter().map(|text| (*text).to_owned()).collect(),
        resource: None,
        name: None,
    }
}

fn input(text: &str, parameters: &[&str]) -> Value {
    let Imported { input, .. } = import(text, &options(parameters)).unwrap();
    input
}

fn problem(text: &str, options: &Options) -> String {
    import(text, options).map(|imported| imported.input).unwrap_err().to_string()
}

const TEMPLATE: &str = r##"
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Branch: { Type: String, Default: main }
  Connection: { Type: String }
Resources:
  Artifacts: { Type: AWS::S3::Bucket }
  Pipeline:
    Type: AWS::CodePipeline::Pipeline
    Properties:
      Name: !Sub "${AWS::StackName}-release"
      RoleArn: !GetAtt PipelineRole.Arn
      PipelineType: V2
      ExecutionMode: QUEUED
      RestartExecutionOnUpdate: true
      ArtifactStores:
        - Region: eu-west-1
          ArtifactStore: { Type: S3, Location: !Ref Artifacts, EncryptionKey: { Id: alias/artifacts, Type: KMS } }
        - Region: us-east-1
          ArtifactStore:
            Type: S3
            Location: !Join ["-", [!Ref Artifacts, us-east-1]]
      DisableInboundStageTransitions:
        - { StageName: Prod, Reason: not yet }
      Tags:
        - { Key: team, Value: web }
      Variables:
        - { Name: Level, DefaultValue: 3, Description: How loud }
      Triggers:
        - ProviderType: CodeStarSourceConnection
          GitConfiguration:
            SourceActionName: Source
            Push:
              - Branches: { Includes: [main, "release/*"] }
                FilePaths: { Excludes: ["docs/**"] }
            PullRequest:
              - Events: [OPEN, UPDATED]
                Branches: { Includes: [main] }
      Stages:
        - Name: Source
          Actions:
            - Name: Source
              Namespace: SourceVariables
              ActionTypeId: { Category: Source, Owner: AWS, Provider: CodeStarSourceConnection, Version: 1 }
              Configuration:
                ConnectionArn: !Ref Connection
                FullRepositoryId: acme/shop
                BranchName: !Ref Branch
                DetectChanges: false
              OutputArtifacts: [{ Name: SourceArtifact }]
        - Name: Prod
          Blockers: []
          BeforeEntry:
            Conditions:
              - Result: SKIP
                Rules:
                  - Name: OnlyMain
                    RuleTypeId: { Category: Rule, Owner: AWS, Provider: VariableCheck, Version: "1" }
                    Configuration: { Variable: "#{SourceVariables.BranchName}", Value: main, Operator: EQ }
          OnFailure: { Result: RETRY, RetryConfiguration: { RetryMode: FAILED_ACTIONS } }
          Actions:
            - Name: Stack
              RunOrder: "2"
              Region: us-east-1
              ActionTypeId: { Category: Deploy, Owner: AWS, Provider: CloudFormation, Version: "1" }
              Configuration:
                ActionMode: CREATE_UPDATE
                StackName: !Sub ["${Name}-${!literal}-${AWS::Partition}", { Name: !Ref Branch }]
                ParameterOverrides: { Account: "012345678901", Size: 2 }
              InputArtifacts: [{ Name: SourceArtifact }]
            - Name: Approve
              TimeoutInMinutes: 60
              ActionTypeId: { Category: Approval, Owner: AWS, Provider: Manual, Version: "1" }
              Configuration: !If [IsProd, { CustomData: x }, !Ref AWS::NoValue]
"##;

fn without_if() -> String {
    TEMPLATE.replace(
        r"Configuration: !If [IsProd, { CustomData: x }, !Ref AWS::NoValue]",
        "Configuration: !Ref AWS::NoValue",
    )
}

const PARAMETERS: &[&str] = &[
    "AWS::StackName=shop",
    "PipelineRole.Arn=arn:aws:iam::111122223333:role/pipeline",
    "Artifacts=artifacts",
    "Connection=arn:aws:codestar-connections:eu-west-1:111122223333:connection/1",
];

#[test]
fn a_template_in_yaml_becomes_the_input_of_create_pipeline() {
    let Imported { input, notes } = import(&without_if(), &options(PARAMETERS)).unwrap();
    assert_eq!(input["tags"], json!([{"key": "team", "value": "web"}]));
    let pipeline = &input["pipeline"];
    assert_eq!(pipeline["name"], "shop-release");
    assert_eq!(pipeline["roleArn"], "arn:aws:iam::111122223333:role/pipeline");
    assert_eq!((&pipeline["pipelineType"], &pipeline["executionMode"]), (&json!("V2"), &json!("QUEUED")));
    assert_eq!(
        pipeline["artifactStores"],
        json!({
            "eu-west-1": {"type": "S3", "location": "artifacts", "encryptionKey": {"id": "alias/artifacts", "type": "KMS"}},
            "us-east-1": {"type": "S3", "location": "artifacts-us-east-1"},
        })
    );
    assert_eq!(pipeline["variables"], json!([{"name": "Level", "defaultValue": "3", "description": "How loud"}]));
    assert_eq!(
        pipeline["triggers"][0]["gitConfiguration"]["push"],
        json!([{"branches": {"includes": ["main", "release/*"]}, "filePaths": {"excludes": ["docs/**"]}}])
    );
    assert_eq!(pipeline["triggers"][0]["gitConfiguration"]["pullRequest"][0]["events"], json!(["OPEN", "UPDATED"]));
    let members: Vec<_> = pipeline.as_object().unwrap().keys().collect();
    assert!(!members.iter().any(|name| name.starts_with("restart") || name.starts_with("disable")), "{members:?}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[1].contains("--pipeline-name shop-release --stage-name Prod"), "{notes:?}");
}

#[test]
fn stages_keep_their_meaning() {
    let input = input(&without_if(), PARAMETERS);
    let stages = &input["pipeline"]["stages"];
    let source = &stages[0]["actions"][0];
    assert_eq!(
        source["actionTypeId"],
        json!({"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"})
    );
    let arn = "arn:aws:codestar-connections:eu-west-1:111122223333:connection/1";
    assert_eq!(
        source["configuration"],
        json!({"ConnectionArn": arn, "FullRepositoryId": "acme/shop", "BranchName": "main", "DetectChanges": "false"})
    );
    let prod = &stages[1];
    assert_eq!(prod["onFailure"], json!({"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}));
    let rule = &prod["beforeEntry"]["conditions"][0]["rules"][0];
    assert_eq!(rule["configuration"]["Variable"], "#{SourceVariables.BranchName}");
    assert_eq!(rule["ruleTypeId"]["provider"], "VariableCheck");
    let (stack, approve) = (&prod["actions"][0], &prod["actions"][1]);
    assert_eq!((&stack["runOrder"], &stack["region"]), (&json!(2), &json!("us-east-1")));
    assert_eq!(stack["configuration"]["StackName"], "main-${literal}-aws");
    assert_eq!(stack["configuration"]["ParameterOverrides"], r#"{"Account":"012345678901","Size":2}"#);
    assert_eq!((&approve["timeoutInMinutes"], approve.get("configuration")), (&json!(60), None));
}

#[test]
fn what_nobody_resolves_is_named_all_at_once() {
    let text = problem(TEMPLATE, &options(&PARAMETERS[2..]));
    for line in [
        "Resources.Pipeline.Properties.Name: pass --parameter 'AWS::StackName=VALUE'",
        "Resources.Pipeline.Properties.RoleArn: pass --parameter 'PipelineRole.Arn=VALUE'",
        "Resources.Pipeline.Properties.Stages[1].Actions[1].Configuration: Fn::If is not resolved here",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("Branch"), "it has a default: {text}");
}

#[test]
fn a_synthesized_template_in_json_is_read_as_well() {
    let template = json!({"Resources": {"Pipe": {"Type": "AWS::CodePipeline::Pipeline", "Properties": {
        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        "ArtifactStore": {"Type": "S3", "Location": {"Fn::ImportValue": "shared-bucket"}},
        "Stages": [{"Name": "Source", "Actions": []}, {"Name": "Deploy", "Actions": [{
            "Name": "Site", "RunOrder": 1,
            "ActionTypeId": {"Category": "Deploy", "Owner": "AWS", "Provider": "S3", "Version": "1"},
            "Configuration": {"BucketName": {"Fn::Join": ["", ["site-", {"Ref": "AWS::Region"}]]}, "Extract": "true"},
        }]}],
    }}}})
    .to_string();
    let given = ["Role.Arn=arn:aws:iam::1:role/x", "shared-bucket=artifacts", "AWS::Region=eu-west-1"];
    assert!(problem(&template, &options(&given)).contains("give it by --name"));
    let named = Options { name: Some("shop".to_owned()), ..options(&given) };
    let pipeline = import(&template, &named).unwrap().input["pipeline"].take();
    assert_eq!(pipeline["artifactStore"], json!({"type": "S3", "location": "artifacts"}));
    assert_eq!(
        pipeline["stages"][1]["actions"][0]["configuration"],
        json!({"BucketName": "site-eu-west-1", "Extract": "true"})
    );
}

#[test]
fn what_the_api_prints_is_taken_as_it_is() {
    let declaration = json!({"name": "shop", "roleArn": "arn", "version": 7, "stages": []});
    let got = json!({"pipeline": declaration, "metadata": {"pipelineArn": "arn:aws:codepipeline:eu-west-1:1:shop"}});
    let expected = json!({"pipeline": {"name": "shop", "roleArn": "arn", "stages": []}});
    assert_eq!(input(&got.to_string(), &[]), expected);
    assert_eq!(input(&declaration.to_string(), &[]), expected);
}

#[test]
fn a_template_says_which_pipeline_is_meant() {
    let pipeline = "{ Type: AWS::CodePipeline::Pipeline, Properties: { Name: x, RoleArn: r, Stages: [] } }";
    let two = format!("Resources:\n  One: {pipeline}\n  Two: {pipeline}\n  Bucket: {{ Type: AWS::S3::Bucket }}\n");
    assert!(problem(&two, &options(&[])).contains("--resource, of One, Two"));
    let chosen = Options { resource: Some("Two".to_owned()), name: Some("two".to_owned()), ..options(&[]) };
    assert_eq!(import(&two, &chosen).unwrap().input["pipeline"]["name"], "two");
    assert!(problem("Resources: {}", &options(&[])).contains("has no AWS::CodePipeline::Pipeline"));
    assert!(problem("[1, 2]", &options(&[])).contains("neither a pipeline nor a template"));
    assert!(problem("a: [", &options(&[])).contains("neither JSON nor YAML"));
    assert_eq!(input(&format!("One: &p {pipeline}\nResources: {{ Same: *p }}"), &[])["pipeline"]["name"], "x");
}
