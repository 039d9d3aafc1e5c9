//! The machines of providers against answers in the services' own form (`tests/fixtures/providers`).

mod builds;
mod stage;
mod turns;

use serde_json::{Value, json};

use stage::{CODE_BUILD, CODE_DEPLOY, CODE_PIPELINE, COMMANDS, CONSOLE, Provider, STEP_FUNCTIONS, Story};

fn project() -> Value {
    json!({ "ProjectName": "shop" })
}

fn group() -> Value {
    json!({ "ApplicationName": "shop", "DeploymentGroupName": "production" })
}

fn machine() -> Value {
    json!({ "StateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:migrate" })
}

/// Each provider, with a configuration and the inputs it takes.
fn everyone() -> [(&'static Provider, Value, Vec<&'static str>); 5] {
    [
        (&CODE_BUILD, project(), vec!["App"]),
        (&CODE_DEPLOY, group(), vec!["App"]),
        (&STEP_FUNCTIONS, machine(), vec![]),
        (&CODE_PIPELINE, json!({ "PipelineName": "site" }), vec![]),
        (&COMMANDS, json!({}), vec!["App"]),
    ]
}

#[tokio::test]
async fn work_is_linked_first_and_reported_when_it_ends() {
    for (provider, configuration, inputs) in everyone() {
        let (start, look) = (vec!["started"], vec!["running", "running", "succeeded"]);
        let told = provider.tell(Story { configuration, inputs, start, look, ..Story::default() }).await;
        let [first, last] = &told.reports()[..] else { panic!("{}: {:?}", provider.name, told.reports()) };
        assert_eq!(
            (&first["status"], &last["status"]),
            (&json!("InProgress"), &json!("Succeeded")),
            "{}",
            provider.name
        );
        for member in ["externalExecutionId", "externalExecutionUrl"] {
            assert_eq!(first[member], last[member], "{}", provider.name);
        }
        assert!(first["externalExecutionId"].is_string(), "{}: {first}", provider.name);
        // Another pipeline is none of AWS's, and its page is not in AWS's console.
        let url = first["externalExecutionUrl"].as_str();
        let leads_there = url.is_some_and(|url| url.starts_with(&format!("{CONSOLE}/")));
        assert_eq!(leads_there, provider.name != CODE_PIPELINE.name, "{}: {url:?}", provider.name);
        assert_eq!((told.starts(), told.asked(provider.look).len(), told.stops()), (1, 3, 0), "{}", provider.name);
        let calls = told.world.functions.calls("run-action");
        let key = ["operation", "pipeline", "stage", "generation", "attempt", "action", "rule"]
            .map(|member| calls[0][member].clone());
        assert_eq!(json!(key), json!(["Report", "shop", "Build", 4, 1, "Make", null]));
    }
}

#[tokio::test]
async fn work_has_no_link_where_the_console_of_aws_is_not_public() {
    for (provider, configuration, inputs) in everyone() {
        let (start, look) = (vec!["started"], vec!["succeeded"]);
        let story = Story { configuration, inputs, start, look, has_no_console: true, ..Story::default() };
        let told = provider.tell(story).await;
        let links: Vec<Value> = told.reports().iter().map(|report| report["externalExecutionUrl"].clone()).collect();
        assert_eq!(links, [Value::Null, Value::Null], "{}", provider.name);
        assert_eq!(told.last()["status"], "Succeeded", "{}", provider.name);
    }
}

#[tokio::test]
async fn throttling_is_waited_out() {
    for (provider, configuration, inputs) in everyone().into_iter().filter(|(provider, ..)| !provider.errors.is_empty())
    {
        let (start, look) =
            (vec!["throttled", "throttled", "started"], vec!["throttled", "running", "throttled", "succeeded"]);
        let told = provider.tell(Story { configuration, inputs, start, look, ..Story::default() }).await;
        assert_eq!(told.last()["status"], "Succeeded", "{}", provider.name);
        assert_eq!((told.starts(), told.asked(provider.look).len()), (3, 4), "{}", provider.name);
    }
}

#[tokio::test]
async fn work_that_nobody_needs_when_it_is_noted_is_stopped_without_another_word() {
    for (provider, configuration, inputs) in everyone() {
        for noted in ["Abandoned", "Failed"] {
            let (configuration, inputs) = (configuration.clone(), inputs.clone());
            let (start, stop, noted) = (vec!["started"], vec!["stopped"], Some(noted));
            let told = provider.tell(Story { configuration, inputs, start, stop, noted, ..Story::default() }).await;
            assert_eq!((told.reports().len(), told.stops()), (1, 1), "{}", provider.name);
        }
    }
}

#[tokio::test]
async fn stopping_asks_the_provider_and_reports_nothing() {
    for (provider, configuration, inputs) in everyone() {
        let (stop, stops) = (vec!["stopped"], Some("work-1"));
        let told = provider.tell(Story { configuration, inputs, stop, stops, ..Story::default() }).await;
        assert_eq!((told.starts(), told.reports().len()), (0, 0), "{}", provider.name);
        let asked = told.asked(provider.stop).remove(0).to_string();
        assert!(asked.contains("work-1"), "{}: {asked}", provider.name);
    }
}

#[tokio::test]
async fn work_out_of_sight_is_stopped_and_the_action_fails() {
    for (provider, configuration, inputs) in everyone().into_iter().filter(|(provider, ..)| !provider.errors.is_empty())
    {
        let (start, look, stop) = (vec!["started"], vec!["running", "denied"], vec!["stopped"]);
        let told = provider.tell(Story { configuration, inputs, start, look, stop, ..Story::default() }).await;
        let report = told.last();
        assert_eq!(report["error"]["code"], format!("{}.AccessDeniedException", provider.errors), "{report}");
        assert!(report["externalExecutionId"].is_string(), "{report}");
        assert_eq!(told.stops(), 1, "{}", provider.name);
    }
}

#[tokio::test]
async fn the_longest_work_keeps_far_from_the_limit_of_the_history() {
    // The one that looks most often; 900 looks are more than its seven days hold.
    let mut look = vec!["running"; 900];
    look.push("succeeded");
    let story = Story { configuration: machine(), start: vec!["started"], look, ..Story::default() };
    let told = STEP_FUNCTIONS.tell(story).await;
    let described = told.world.describe(&told.arn).await;
    let took_s = described["stopDate"].as_f64().unwrap() - described["startDate"].as_f64().unwrap();
    assert!(took_s > 7.0 * 86_400.0, "{took_s} s");
    let events = told.world.states.store().load(&told.arn).unwrap().map(|run| run.events).expect("it is there");
    assert!(events < 15_000, "{events} events");
    // The others wait by the same rule, and longer at first.
    let seconds = |provider: &Provider| {
        let definition: Value = serde_json::from_str(provider.definition).expect("machines are JSON");
        definition["States"]["WaitForWork"]["Seconds"].as_str().expect("an expression").replace("$max([5,", "$max([2,")
    };
    assert!(everyone().iter().all(|(provider, ..)| seconds(provider) == seconds(&STEP_FUNCTIONS)));
}

#[tokio::test]
async fn failures_say_what_the_provider_said() {
    type Case =
        (&'static Provider, Value, Vec<&'static str>, &'static str, &'static str, Option<&'static str>, &'static str);
    let cases: [Case; 9] = [
        (
            &CODE_BUILD,
            project(),
            vec!["App"],
            "started",
            "failed",
            Some("JobFailed"),
            "Build terminated with state: FAILED. Phase: BUILD. Error while executing command: make test. Reason: exit status 2",
        ),
        (
            &CODE_BUILD,
            project(),
            vec!["App"],
            "noProject",
            "",
            Some("CodeBuild.ResourceNotFoundException"),
            "Project cannot be found",
        ),
        (
            &CODE_DEPLOY,
            group(),
            vec!["App"],
            "started",
            "failed",
            Some("JobFailed"),
            "The deployment ended as Failed: HEALTH_CONSTRAINTS: The overall deployment failed",
        ),
        (
            &CODE_DEPLOY,
            group(),
            vec!["App"],
            "noApplication",
            "",
            Some("CodeDeploy.ApplicationDoesNotExistException"),
            "No application found",
        ),
        (
            &STEP_FUNCTIONS,
            machine(),
            vec![],
            "started",
            "failed",
            Some("JobFailed"),
            "The execution ended as FAILED: Migration.Refused: Table users is locked.",
        ),
        (
            &STEP_FUNCTIONS,
            machine(),
            vec![],
            "started",
            "timedOut",
            Some("JobFailed"),
            "The execution ended as TIMED_OUT.",
        ),
        (
            &STEP_FUNCTIONS,
            machine(),
            vec![],
            "noMachine",
            "",
            Some("Sfn.StateMachineDoesNotExistException"),
            "State Machine Does Not Exist",
        ),
        (
            &CODE_PIPELINE,
            json!({ "PipelineName": "site" }),
            vec![],
            "started",
            "superseded",
            Some("JobFailed"),
            "The execution of pipeline site ended as Superseded.",
        ),
        (
            &CODE_PIPELINE,
            json!({ "PipelineName": "site" }),
            vec![],
            "noPipeline",
            "",
            Some("PipelineNotFoundException"),
            "Account '111122223333' does not have",
        ),
    ];
    for (provider, configuration, inputs, started, looked, code, message) in cases {
        let look = if looked.is_empty() { vec![] } else { vec!["running", looked] };
        let told = provider.tell(Story { configuration, inputs, start: vec![started], look, ..Story::default() }).await;
        let report = told.last();
        assert_eq!((&report["status"], report["error"]["code"].as_str()), (&json!("Failed"), code), "{report}");
        assert!(report["error"]["message"].as_str().unwrap().starts_with(message), "{report}");
        assert_eq!(told.stops(), 0, "{}", provider.name);
    }
}

#[tokio::test]
async fn a_deployment_that_goes_back_by_itself_says_so() {
    let ended = "The deployment ended as Failed: HEALTH_CONSTRAINTS: Too many instances failed.";
    for (looked, said) in [
        ("failedAndGoneBack", " CodeDeploy on its own rollback: Deployment d-A1B2C3D4E is taken back by d-F5G6H7I8J."),
        ("failedAndGoingBack", " CodeDeploy rolls back by itself, by deployment d-F5G6H7I8J."),
    ] {
        let (configuration, inputs, start, look) = (group(), vec!["App"], vec!["started"], vec![looked]);
        let told = CODE_DEPLOY.tell(Story { configuration, inputs, start, look, ..Story::default() }).await;
        assert_eq!(told.last()["error"]["message"], format!("{ended}{said}"));
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_before_anything_begins() {
    let several = vec!["App", "Tools"];
    let file = json!({ "StateMachineArn": "arn:x", "InputType": "FilePath", "Input": "input.json" });
    let cases = [
        (
            &CODE_BUILD,
            json!({ "ProjectName": "shop", "BatchEnabled": "true" }),
            vec!["App"],
            vec!["Site"],
            "The builds of a batch would overwrite",
        ),
        (&CODE_BUILD, project(), several.clone(), vec![], "With several input artifacts"),
        (
            &CODE_BUILD,
            json!({ "ProjectName": "shop", "PrimarySource": "Other" }),
            several,
            vec![],
            "PrimarySource must be",
        ),
        (&STEP_FUNCTIONS, file, vec!["App"], vec![], "Artifact 'App': no file"),
        (&CODE_PIPELINE, json!({ "PipelineName": "shop" }), vec![], vec![], "A pipeline that starts itself"),
    ];
    for (provider, configuration, inputs, outputs, message) in cases {
        let told = provider.tell(Story { configuration, inputs, outputs, ..Story::default() }).await;
        let report = told.last();
        assert_eq!((&report["status"], &report["error"]["code"]), (&json!("Failed"), &json!("ConfigurationError")));
        assert!(report["error"]["message"].as_str().unwrap().starts_with(message), "{report}");
        assert_eq!(told.starts(), 0, "{}", provider.name);
    }
}

#[tokio::test]
async fn an_express_execution_is_started_and_not_waited_for() {
    let configuration = json!({ "StateMachineArn": "arn:x", "ExecutionNamePrefix": "release", "Input": "{\"a\": 1}" });
    let told = STEP_FUNCTIONS.tell(Story { configuration, start: vec!["startedExpress"], ..Story::default() }).await;
    assert_eq!(told.last()["status"], "Succeeded");
    let asked = json!({
        "StateMachineArn": "arn:x", "Name": "release-3f0d7c1e-0d0a-5f1e-8a1b-000000000001", "Input": "{\"a\": 1}",
    });
    assert_eq!(told.asked(STEP_FUNCTIONS.start), [asked]);
}

#[tokio::test]
async fn the_output_of_an_execution_is_handed_over_for_the_output_artifact() {
    let tell = |start: &'static str, outputs: Vec<&'static str>| {
        let (start, look) = (vec![start], vec!["succeeded"]);
        STEP_FUNCTIONS.tell(Story { configuration: machine(), outputs, start, look, ..Story::default() })
    };
    assert_eq!(tell("started", vec!["Out"]).await.last()["output"], "{\"rows\": 12}");
    assert_eq!(tell("started", vec![]).await.last()["output"], json!(null), "nobody would keep it");
    let express = tell("startedExpress", vec!["Out"]).await;
    let report = express.last();
    assert_eq!((&report["status"], &report["error"]["code"]), (&json!("Failed"), &json!("ConfigurationError")));
    assert!(report["error"]["message"].as_str().unwrap().contains("Express"), "{report}");
}

#[tokio::test]
async fn another_pipeline_gets_variables_revisions_and_a_token() {
    let configuration = json!({
        "PipelineName": "site", "Variables": "[{\"name\":\"Color\",\"value\":\"green\"}]",
        "SourceRevisions": "[{\"actionName\":\"Fetch\",\"revisionType\":\"S3_OBJECT_VERSION_ID\",\"revisionValue\":\"v1\"}]",
    });
    let (start, look) = (vec!["started"], vec!["succeeded"]);
    let told = CODE_PIPELINE.tell(Story { configuration, start, look, ..Story::default() }).await;
    let asked = json!({
        "name": "site", "clientRequestToken": "3f0d7c1e-0d0a-5f1e-8a1b-000000000001",
        "variables": [{ "name": "Color", "value": "green" }],
        "sourceRevisions": [{ "actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v1" }],
    });
    assert_eq!(told.asked(CODE_PIPELINE.start), [asked]);
    let caller = &told.world.functions.calls("api")[0]["requestContext"]["authorizer"]["iam"]["userArn"];
    assert_eq!(caller, "arn:aws:iam::111122223333:role/pipeline");
}

#[tokio::test]
async fn an_input_may_be_a_file_of_the_artifact() {
    let configuration = json!({ "StateMachineArn": "arn:x", "InputType": "FilePath", "Input": "conf/input.json" });
    let story = Story {
        configuration,
        inputs: vec!["App"],
        file: Some("{\"a\": 2}"),
        start: vec!["started"],
        look: vec!["succeeded"],
        ..Story::default()
    };
    let told = STEP_FUNCTIONS.tell(story).await;
    assert_eq!(told.asked(STEP_FUNCTIONS.start)[0]["Input"], "{\"a\": 2}");
    let read = &told.world.functions.calls("run-action")[0];
    assert_eq!(read["file"], json!({ "artifact": "App", "path": "conf/input.json" }));
}
