//! Actions, and how they follow from each other.

use super::*;

const INVALID: &str = "InvalidActionDeclarationException";

#[test]
fn each_action_by_itself() {
    run(&[
        refused(
            "blockers",
            |p| p["stages"][1]["blockers"] = json!([{"name": "Night", "type": "Schedule"}]),
            "InvalidBlockerDeclarationException",
            "Stage 'Deploy' declares blockers, which are reserved. Leave the list empty",
        ),
        refused(
            "duplicate action",
            |p| action(p, 2)["name"] = json!("Site"),
            INVALID,
            "Action name 'Site' is used more than once in stage 'Deploy'",
        ),
        accepted("equal names in two stages", |p| action(p, 2)["name"] = json!("App")),
        refused(
            "unknown type",
            |p| {
                action(p, 1)["actionTypeId"] =
                    json!({"category": "Build", "owner": "Custom", "provider": "Make", "version": "3"})
            },
            INVALID,
            "ActionType (Category: 'Build', Provider: 'Make', Owner: 'Custom', Version: '3') in action 'Build' is not \
             available in region 'US_EAST_1'",
        ),
        refused(
            "too few inputs",
            |p| action(p, 0)["inputArtifacts"] = json!([]),
            INVALID,
            "Action Site declares 0 input artifacts which is less than the minimum count (1)",
        ),
        refused(
            "too many inputs",
            |p| push(&mut action(p, 0)["inputArtifacts"], json!({"name": "Other"})),
            INVALID,
            "Action Site declares 2 input artifacts which is more than the maximum count (1)",
        ),
        refused(
            "too few outputs",
            |p| p["stages"][0]["actions"][0]["outputArtifacts"] = json!([]),
            INVALID,
            "Action App declares 0 output artifacts which is less than the minimum count (1)",
        ),
        refused(
            "too many outputs",
            |p| action(p, 3)["outputArtifacts"] = json!([{"name": "Decision"}]),
            INVALID,
            "Action Approve declares 1 output artifacts which is more than the maximum count (0)",
        ),
        refused(
            "run order 0",
            |p| action(p, 1)["runOrder"] = json!(0),
            "ValidationException",
            "runOrder of action 'Build' is 0. Use 1 to 999",
        ),
        refused(
            "run order 1000",
            |p| action(p, 1)["runOrder"] = json!(1000),
            "ValidationException",
            "runOrder of action 'Build' is 1000. Use 1 to 999",
        ),
        refused(
            "commands",
            |p| action(p, 1)["commands"] = json!(["make"]),
            INVALID,
            "Action 'Build' declares commands, which only Commands actions have. Remove them",
        ),
        refused(
            "output variables",
            |p| action(p, 1)["outputVariables"] = json!(["X"]),
            INVALID,
            "Action 'Build' declares outputVariables, which only Commands actions have. Remove them",
        ),
        refused(
            "environment",
            |p| action(p, 1)["environmentVariables"] = json!([{"name": "X", "value": "1"}]),
            INVALID,
            "Action 'Build' declares environmentVariables, which only Commands actions have. Remove them",
        ),
        refused(
            "files",
            |p| action(p, 1)["outputArtifacts"] = json!([{"name": "Out", "files": ["*"]}]),
            INVALID,
            "Action 'Build' declares files of output artifacts, which only Commands actions have. Remove them",
        ),
        accepted("source in the pipeline's region", |p| p["stages"][0]["actions"][0]["region"] = json!("us-east-1")),
        refused(
            "source in another region",
            |p| {
                p["artifactStores"] = json!({"us-east-1": p["artifactStore"], "eu-west-1": p["artifactStore"]});
                p["artifactStore"] = Value::Null;
                p["stages"][0]["actions"][0]["region"] = json!("eu-west-1");
            },
            INVALID,
            "Source action 'App' can only run in the region of the pipeline. Remove its region or use 'us-east-1'",
        ),
        refused(
            "timeout of another action",
            |p| action(p, 1)["timeoutInMinutes"] = json!(10),
            INVALID,
            "Action 'Build' declares timeoutInMinutes, which only manual approval actions have. Remove it",
        ),
        accepted("longest timeout", |p| action(p, 3)["timeoutInMinutes"] = json!(86_400)),
        refused(
            "short timeout",
            |p| action(p, 3)["timeoutInMinutes"] = json!(4),
            "ValidationException",
            "timeoutInMinutes of action 'Approve' is 4. Use 5 to 86400",
        ),
        refused(
            "long timeout",
            |p| action(p, 3)["timeoutInMinutes"] = json!(86_401),
            "ValidationException",
            "timeoutInMinutes of action 'Approve' is 86401. Use 5 to 86400",
        ),
    ]);
}

#[test]
fn actions_that_run_commands() {
    fn commands(pipeline: &mut Value, members: Value) {
        let action = action(pipeline, 1);
        action["actionTypeId"] = type_id("Compute", "Commands");
        action["configuration"] = json!({});
        action["inputArtifacts"] = json!([{"name": "Package"}]);
        action.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    }
    run(&[
        accepted("every member", |p| {
            commands(
                p,
                json!({"commands": ["make", "make dist"], "outputVariables": ["TAG"], "namespace": "Made",
                    "environmentVariables": [{"name": "KEY", "value": "key", "type": "SECRETS_MANAGER"}],
                    "outputArtifacts": [{"name": "Dist", "files": ["dist/**"]}]}),
            );
        }),
        refused("none", |p| commands(p, json!({})), INVALID, "Action Build must have a non-empty commands field"),
        refused(
            "in V1",
            |p| {
                commands(p, json!({"commands": ["make"]}));
                p["pipelineType"] = json!("V1");
                p["variables"] = json!([]);
            },
            INVALID,
            "Commands Action can only be used with V2 pipelines.",
        ),
    ]);
}

#[test]
fn types_that_are_not_run_are_kept_with_every_key() {
    fn deploy(pipeline: &mut Value, owner: &str, provider: &str, configuration: Value) {
        let action = action(pipeline, 1);
        action["actionTypeId"] = json!({"category": "Deploy", "owner": owner, "provider": provider, "version": "1"});
        action["configuration"] = configuration;
        action["inputArtifacts"] = json!([{"name": "Package"}]);
    }
    run(&[
        accepted("unknown keys", |p| {
            deploy(p, "AWS", "ECS", json!({"ClusterName": "c", "ServiceName": "s", "FileName": "i.json", "New": "x"}));
        }),
        refused(
            "missing key",
            |p| deploy(p, "AWS", "ECS", json!({"ClusterName": "c"})),
            INVALID,
            "Action configuration for action 'Build' is missing required configuration 'ServiceName'",
        ),
        accepted("another region", |p| {
            p["artifactStores"] = json!({"us-east-1": p["artifactStore"], "eu-west-1": p["artifactStore"]});
            p["artifactStore"] = Value::Null;
            deploy(p, "AWS", "CodeDeploy", json!({"ApplicationName": "a", "DeploymentGroupName": "g"}));
            action(p, 1)["region"] = json!("eu-west-1");
        }),
        refused(
            "another region of a third party",
            |p| {
                p["artifactStores"] = json!({"us-east-1": p["artifactStore"], "eu-west-1": p["artifactStore"]});
                p["artifactStore"] = Value::Null;
                let keys = json!({"ClientId": "c", "SkillId": "s", "ClientSecret": "x", "RefreshToken": "y"});
                deploy(p, "ThirdParty", "AlexaSkillsKit", keys);
                action(p, 1)["region"] = json!("eu-west-1");
            },
            INVALID,
            "Action 'Build' can only run in the region of the pipeline: its type is not of AWS. Remove its region",
        ),
        refused(
            "the pipeline's region of a third party",
            |p| {
                let keys = json!({"ClientId": "c", "SkillId": "s", "ClientSecret": "x", "RefreshToken": "y"});
                deploy(p, "ThirdParty", "AlexaSkillsKit", keys);
                action(p, 1)["region"] = json!("us-east-1");
            },
            INVALID,
            "Action 'Build' can only run in the region of the pipeline: its type is not of AWS. Remove its region",
        ),
        accepted("the pipeline's region of a third party's source", |p| {
            let source = &mut p["stages"][0]["actions"][0];
            source["actionTypeId"] =
                json!({"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"});
            source["configuration"] = json!({"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "x"});
            source["region"] = json!("us-east-1");
        }),
        refused(
            "V2 alone",
            |p| {
                deploy(p, "AWS", "EKS", json!({"ClusterName": "c"}));
                p["pipelineType"] = json!("V1");
                p["variables"] = json!([]);
            },
            INVALID,
            "EKS Action can only be used with V2 pipelines.",
        ),
    ]);
}

#[test]
fn configuration_of_actions() {
    fn source(pipeline: &mut Value) -> &mut Value {
        &mut pipeline["stages"][0]["actions"][0]["configuration"]
    }
    fn deploy(pipeline: &mut Value) -> &mut Value {
        &mut action(pipeline, 0)["configuration"]
    }
    let site = |problem: &str| format!("Action configuration for action 'Site' {problem}");
    run(&[
        refused(
            "source without key",
            |p| *source(p) = json!({"S3Bucket": "uploads"}),
            INVALID,
            "Action configuration for action 'App' is missing required configuration 'S3ObjectKey'",
        ),
        refused(
            "deploy without bucket",
            |p| *deploy(p) = json!({"Extract": "true"}),
            INVALID,
            site("is missing required configuration 'BucketName'"),
        ),
        refused(
            "deploy to nowhere",
            |p| deploy(p)["BucketName"] = json!(""),
            INVALID,
            site("is missing required configuration 'BucketName'"),
        ),
        refused(
            "deploy without Extract",
            |p| *deploy(p) = json!({"BucketName": "site"}),
            INVALID,
            site("is missing required configuration 'Extract'"),
        ),
        refused(
            "lambda without function",
            |p| action(p, 1)["configuration"] = json!({}),
            INVALID,
            "Action configuration for action 'Build' is missing required configuration 'FunctionName'",
        ),
        refused(
            "unknown key",
            |p| deploy(p)["Bucket"] = json!("x"),
            INVALID,
            site(
                "contains unknown configuration 'Bucket'. It can contain BucketName, Extract, CacheControl, CannedACL, KMSEncryptionKeyARN, ObjectKey",
            ),
        ),
        refused(
            "Extract maybe",
            |p| deploy(p)["Extract"] = json!("maybe"),
            INVALID,
            site("has 'maybe' for 'Extract'. Use true, false"),
        ),
        refused(
            "Extract True",
            |p| deploy(p)["Extract"] = json!("True"),
            INVALID,
            site("has 'True' for 'Extract'. Use true, false"),
        ),
        accepted("Extract not known yet", |p| deploy(p)["Extract"] = json!("#{variables.Env}")),
        refused(
            "no object key",
            |p| deploy(p)["Extract"] = json!("false"),
            INVALID,
            site(
                "is missing required configuration 'ObjectKey': without extraction the artifact is stored as one object",
            ),
        ),
        accepted("object key", |p| {
            *deploy(p) = json!({"BucketName": "b", "Extract": "false", "ObjectKey": "{datetime}/{uuid}.zip",
                                "CacheControl": "no-cache", "KMSEncryptionKeyARN": "arn"});
        }),
        refused(
            "unknown access control list",
            |p| deploy(p)["CannedACL"] = json!("public"),
            INVALID,
            site(
                "has 'public' for 'CannedACL'. Use authenticated-read, aws-exec-read, bucket-owner-full-control, \
                 bucket-owner-read, private, public-read, public-read-write",
            ),
        ),
        refused(
            "access control list of a bucket",
            |p| deploy(p)["CannedACL"] = json!("log-delivery-write"),
            INVALID,
            site(
                "has 'log-delivery-write' for 'CannedACL'. Use authenticated-read, aws-exec-read, \
                 bucket-owner-full-control, bucket-owner-read, private, public-read, public-read-write",
            ),
        ),
        refused(
            "polling maybe",
            |p| source(p)["PollForSourceChanges"] = json!("no"),
            INVALID,
            "Action configuration for action 'App' has 'no' for 'PollForSourceChanges'. Use true, false",
        ),
        refused(
            "override maybe",
            |p| source(p)["AllowOverrideForS3ObjectKey"] = json!("no"),
            INVALID,
            "Action configuration for action 'App' has 'no' for 'AllowOverrideForS3ObjectKey'. Use true, false",
        ),
        accepted("every documented key", |p| {
            source(p)["AllowOverrideForS3ObjectKey"] = json!("true");
            action(p, 1)["configuration"]["UserParameters"] = json!("{\"a\": 1}");
            action(p, 3)["configuration"] =
                json!({"NotificationArn": "arn", "ExternalEntityLink": "https://example.org", "CustomData": "x"});
        }),
    ]);
}

#[test]
fn artifacts_and_namespaces() {
    let not_made = |artifact: &str, action: &str| {
        format!(
            "Input Artifact Bundle {artifact} in action {action} is not declared as Output Artifact Bundle in any of the preceding actions"
        )
    };
    run(&[
        accepted("made by a lower run order", |p| {
            action(p, 1)["outputArtifacts"] = json!([{"name": "Built"}]);
            action(p, 2)["inputArtifacts"] = json!([{"name": "Built"}, {"name": "Package"}]);
        }),
        refused(
            "made by nobody",
            |p| action(p, 1)["inputArtifacts"] = json!([{"name": "package"}]),
            INVALID,
            not_made("package", "Build"),
        ),
        refused(
            "made in parallel",
            |p| {
                action(p, 1)["outputArtifacts"] = json!([{"name": "Built"}]);
                action(p, 0)["inputArtifacts"] = json!([{"name": "Built"}]);
            },
            INVALID,
            not_made("Built", "Site"),
        ),
        refused(
            "made later",
            |p| {
                action(p, 2)["outputArtifacts"] = json!([{"name": "Late"}]);
                action(p, 1)["inputArtifacts"] = json!([{"name": "Late"}]);
            },
            INVALID,
            not_made("Late", "Build"),
        ),
        refused(
            "made by itself",
            |p| {
                action(p, 1)["outputArtifacts"] = json!([{"name": "Own"}]);
                action(p, 1)["inputArtifacts"] = json!([{"name": "Own"}]);
            },
            INVALID,
            not_made("Own", "Build"),
        ),
        refused(
            "made twice",
            |p| action(p, 1)["outputArtifacts"] = json!([{"name": "Package"}]),
            "InvalidStructureException",
            "Output Artifact Bundle name must be unique within the pipeline. Package has been used more than once.",
        ),
        refused(
            "duplicate namespace",
            |p| action(p, 1)["namespace"] = json!("Src"),
            INVALID,
            "Namespaces must be unique across the pipeline definition. The following occur more than once in the \
             pipeline. StageName=[Source], ActionName=[App], Namespace=[Src], StageName=[Deploy], ActionName=[Build], \
             Namespace=[Src]",
        ),
        refused(
            "reserved",
            |p| action(p, 1)["namespace"] = json!("variables"),
            INVALID,
            "Namespace 'variables' of action 'Build' is reserved. Use another name",
        ),
        refused(
            "reserved too",
            |p| action(p, 1)["namespace"] = json!("codepipeline"),
            INVALID,
            "Namespace 'codepipeline' of action 'Build' is reserved. Use another name",
        ),
        refused(
            "namespace of an artifact",
            |p| action(p, 1)["namespace"] = json!("Package"),
            INVALID,
            "Namespace 'Package' of action 'Build' is the name of an artifact. Use another name",
        ),
    ]);
}

#[test]
fn references_have_to_lead_somewhere() {
    fn refer(pipeline: &mut Value, index: usize, text: &str) {
        action(pipeline, index)["configuration"]["UserParameters"] = json!(text);
    }
    let build = |problem: &str| format!("Configuration key 'UserParameters' of action 'Build' refers to {problem}");
    run(&[
        refused(
            "variable in a source",
            |p| p["stages"][0]["actions"][0]["configuration"]["S3ObjectKey"] = json!("#{variables.Env}/app.zip"),
            INVALID,
            "Configuration key 'S3ObjectKey' of action 'App' refers to #{variables.Env}, but pipeline variables cannot \
             be used in Source actions",
        ),
        refused(
            "undeclared variable",
            |p| refer(p, 1, "#{variables.Env} #{variables.env}"),
            INVALID,
            build("#{variables.env}, but the pipeline declares no variable 'env'"),
        ),
        refused(
            "unknown namespace",
            |p| refer(p, 1, "#{src.ETag}"),
            INVALID,
            build("#{src.ETag}, but no action that runs earlier has the namespace 'src'"),
        ),
        refused(
            "namespace of a parallel action",
            |p| {
                action(p, 0)["namespace"] = json!("Site");
                refer(p, 1, "#{Site.X}");
            },
            INVALID,
            build("#{Site.X}, but no action that runs earlier has the namespace 'Site'"),
        ),
        accepted("namespace of a lower run order", |p| {
            action(p, 1)["namespace"] = json!("Built");
            refer(p, 2, "#{Built.X}#{Src.ETag}#{variables.Env} #{unclosed");
        }),
        refused(
            "no reference",
            |p| refer(p, 1, "#{Src}"),
            INVALID,
            build(
                "#{Src}, which is not a reference. Write #{namespace.KEY}, #{variables.NAME} or #{codepipeline.PipelineExecutionId}",
            ),
        ),
    ]);
}
