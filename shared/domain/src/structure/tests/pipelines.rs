//! The pipeline as a whole.

use super::*;

fn stages(count: usize, actions: usize) -> Vec<Value> {
    let names = (0..actions).map(|index| format!("A{index}"));
    let actions: Vec<_> = names.map(|name| lambda(&name, 1)).collect();
    (0..count).map(|index| json!({"name": format!("S{index}"), "actions": actions})).collect()
}

fn append(pipeline: &mut Value, stages: Vec<Value>) {
    pipeline["stages"].as_array_mut().expect("a list").extend(stages);
}

#[test]
fn stages_and_actions_are_counted() {
    let structure = "InvalidStructureException";
    let source_first = "Pipeline should start with a stage that only contains source actions";
    run(&[
        accepted("the base pipeline", |_| {}),
        refused(
            "one stage",
            |p| drop(p["stages"].as_array_mut().unwrap().pop()),
            structure,
            "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline",
        ),
        refused(
            "no stages",
            |p| p["stages"] = json!([]),
            structure,
            "Pipeline has only 0 stage(s). There should be a minimum of 2 stages in a pipeline",
        ),
        accepted("50 stages", |p| append(p, stages(48, 1))),
        refused(
            "51 stages",
            |p| append(p, stages(49, 1)),
            structure,
            "Pipeline has too many stages. There can only be up to 50 stages in a pipeline",
        ),
        refused(
            "duplicate stage",
            |p| p["stages"][1]["name"] = json!("Source"),
            "InvalidStageDeclarationException",
            "Stage name 'Source' is used more than once",
        ),
        accepted("stage names differ in case", |p| p["stages"][1]["name"] = json!("source")),
        refused("empty first stage", |p| p["stages"][0]["actions"] = json!([]), structure, source_first),
        refused(
            "other action in first stage",
            |p| push(&mut p["stages"][0]["actions"], lambda("X", 1)),
            structure,
            source_first,
        ),
        refused(
            "source later",
            |p| {
                let source = p["stages"][0]["actions"][0].clone();
                push(&mut p["stages"][1]["actions"], source);
            },
            structure,
            "Source actions can only be included in the first stage of the pipeline",
        ),
        refused(
            "only sources",
            |p| p["stages"][1]["actions"] = json!([]),
            structure,
            "Pipeline should contain at least 1 action whose category is not Source",
        ),
        refused(
            "empty stage",
            |p| append(p, stages(1, 0)),
            "InvalidStageDeclarationException",
            "Stage 'S0' has no actions. There should be a minimum of 1 action in a stage",
        ),
        accepted("100 actions", |p| append(p, stages(1, 100))),
        refused(
            "101 actions",
            |p| append(p, stages(1, 101)),
            "InvalidStageDeclarationException",
            "Stage 'S0' has too many actions. There can only be up to 100 actions in a stage",
        ),
        accepted("1000 actions", |p| {
            append(p, stages(9, 100));
            append(p, vec![json!({"name": "Last", "actions": stages(1, 95)[0]["actions"]})]);
        }),
        refused(
            "1001 actions",
            |p| {
                append(p, stages(9, 100));
                append(p, vec![json!({"name": "Last", "actions": stages(1, 96)[0]["actions"]})]);
            },
            structure,
            "Pipeline has too many actions. There can only be up to 1000 actions in a pipeline",
        ),
    ]);
}

#[test]
fn v1_has_fewer_features() {
    fn v1(pipeline: &mut Value) {
        pipeline["pipelineType"] = json!("V1");
        pipeline["variables"] = json!([]);
        action(pipeline, 0)["configuration"]["BucketName"] = json!("site");
    }
    let structure = "InvalidStructureException";
    let mode = "QUEUED or PARALLEL mode can only be used with V2 pipelines";
    let condition = ("InvalidStageDeclarationException", "Stage level conditions can only be used with V2 pipelines.");
    run(&[
        accepted("V1", v1),
        refused("QUEUED", |p| (v1(p), p["executionMode"] = json!("QUEUED")).1, structure, mode),
        refused("PARALLEL", |p| (v1(p), p["executionMode"] = json!("PARALLEL")).1, structure, mode),
        refused(
            "variables",
            |p| (v1(p), p["variables"] = json!([{"name": "Env"}])).1,
            structure,
            "Pipeline variable can only be used with V2 pipelines",
        ),
        refused(
            "triggers",
            |p| (v1(p), p["triggers"] = json!([{}])).1,
            structure,
            "Triggers on tag can only be used with V2 pipelines",
        ),
        refused(
            "failure",
            |p| (v1(p), p["stages"][1]["onFailure"] = json!({"result": "FAIL"})).1,
            condition.0,
            condition.1,
        ),
        refused(
            "success",
            |p| (v1(p), p["stages"][1]["onSuccess"] = json!({"conditions": []})).1,
            condition.0,
            condition.1,
        ),
        refused(
            "entry",
            |p| (v1(p), p["stages"][1]["beforeEntry"] = json!({"conditions": []})).1,
            condition.0,
            condition.1,
        ),
    ]);
}

#[test]
fn variables_triggers_and_stores() {
    let structure = "InvalidStructureException";
    let trigger = "Triggers for connections must reference a CodeStarSourceConnection action.";
    run(&[
        refused(
            "duplicate variable",
            |p| push(&mut p["variables"], json!({"name": "Env"})),
            structure,
            "Variable names must be unique. The following variable name is already in use: Env",
        ),
        refused("trigger without source", |p| p["triggers"] = json!(["x"]), structure, trigger),
        refused(
            "trigger of another source",
            |p| p["triggers"] = json!([{"gitConfiguration": {"sourceActionName": "App"}}]),
            structure,
            trigger,
        ),
        refused(
            "two triggers of a source",
            |p| {
                p["stages"][0]["actions"][0]["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
                let trigger = json!({"gitConfiguration": {"sourceActionName": "App"}});
                p["triggers"] = json!([trigger, trigger]);
            },
            structure,
            "Source action 'App' has more than one trigger. Put all filters into one trigger",
        ),
        refused(
            "trigger on nothing",
            |p| {
                p["stages"][0]["actions"][0]["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
                let filters = json!([{"branches": {"includes": ["main", "release/[0-9"]}}]);
                p["triggers"] = json!([{"gitConfiguration": {"sourceActionName": "App", "push": filters}}]);
            },
            structure,
            "The trigger of source action 'App' has a push filter, number 1, that has the pattern 'release/[0-9' for branches, which has a [ without its ]. Write \\[ for the character itself",
        ),
        refused(
            "long triggers",
            |p| {
                p["stages"][0]["actions"][0]["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
                let pattern = "x".repeat(255);
                p["triggers"] = json!(vec![json!({"gitConfiguration": {"push": vec![pattern; 8]}}); 99]);
            },
            structure,
            "The triggers of the pipeline take 207405 bytes. They can take up to 204800",
        ),
        refused(
            "one store, two regions",
            |p| action(p, 1)["region"] = json!("eu-west-1"),
            structure,
            "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of \
             'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where \
             you have an action.",
        ),
        accepted("the pipeline's region", |p| action(p, 1)["region"] = json!("us-east-1")),
        accepted("stores for both regions", |p| {
            p["artifactStores"] = json!({"us-east-1": p["artifactStore"], "eu-west-1": p["artifactStore"]});
            p["artifactStore"] = Value::Null;
            action(p, 1)["region"] = json!("eu-west-1");
        }),
        refused(
            "store missing",
            |p| {
                p["artifactStores"] = json!({"us-east-1": p["artifactStore"]});
                p["artifactStore"] = Value::Null;
                action(p, 1)["region"] = json!("eu-west-1");
            },
            structure,
            "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an \
             action. The following region is missing in 'pipeline.artifactStores': eu-west-1.",
        ),
        refused(
            "own store missing",
            |p| {
                p["artifactStores"] = json!({});
                p["artifactStore"] = Value::Null;
            },
            structure,
            "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an \
             action. The following region is missing in 'pipeline.artifactStores': us-east-1.",
        ),
        refused(
            "both kinds of store",
            |p| p["artifactStores"] = json!({}),
            structure,
            "Your pipeline has both 'pipeline.artifactStore' and 'pipeline.artifactStores'. Declare exactly one of them",
        ),
        refused(
            "no store",
            |p| p["artifactStore"] = Value::Null,
            structure,
            "Your pipeline has no artifact store. Declare exactly one of 'pipeline.artifactStore' and \
             'pipeline.artifactStores'",
        ),
    ]);
}
