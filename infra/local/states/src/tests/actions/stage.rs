//! A machine of a provider on a stage: answers by operation, in order, from `tests/fixtures/providers`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::world::{Fakes, World, output};
use crate::FunctionError;

/// Where AWS's console is said to be; links begin with it, in whatever partition that is.
pub(super) const CONSOLE: &str = "https://eu-west-1.console.example";

/// A provider, its answers, and the operations that its machine asks.
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) definition: &'static str,
    pub(super) answers: &'static str,
    pub(super) errors: &'static str,
    pub(super) start: &'static str,
    pub(super) look: &'static str,
    pub(super) stop: &'static str,
}

pub(super) const CODE_BUILD: Provider = Provider {
    name: "CodeBuild",
    definition: include_str!("../../../../../../statemachine/actions/CodeBuild.asl.json"),
    answers: include_str!("../../../../../../tests/fixtures/providers/codebuild.json"),
    errors: "CodeBuild",
    start: "codebuild:startBuild",
    look: "codebuild:batchGetBuilds",
    stop: "codebuild:stopBuild",
};

/// The same project's builds, one after another or many.
pub(super) const CODE_BUILD_BATCH: Provider = Provider {
    start: "codebuild:startBuildBatch",
    look: "codebuild:batchGetBuildBatches",
    stop: "codebuild:stopBuildBatch",
    ..CODE_BUILD
};

pub(super) const COMMANDS: Provider = Provider {
    name: "Commands",
    definition: include_str!("../../../../../../statemachine/actions/Commands.asl.json"),
    ..CODE_BUILD
};

pub(super) const CODE_DEPLOY: Provider = Provider {
    name: "CodeDeploy",
    definition: include_str!("../../../../../../statemachine/actions/CodeDeploy.asl.json"),
    answers: include_str!("../../../../../../tests/fixtures/providers/codedeploy.json"),
    errors: "CodeDeploy",
    start: "codedeploy:createDeployment",
    look: "codedeploy:getDeployment",
    stop: "codedeploy:stopDeployment",
};

pub(super) const STEP_FUNCTIONS: Provider = Provider {
    name: "StepFunctions",
    definition: include_str!("../../../../../../statemachine/actions/StepFunctions.asl.json"),
    answers: include_str!("../../../../../../tests/fixtures/providers/sfn.json"),
    errors: "Sfn",
    start: "sfn:startExecution",
    look: "sfn:describeExecution",
    stop: "sfn:stopExecution",
};

/// It asks the API's function; the answers come as that function gives them.
pub(super) const CODE_PIPELINE: Provider = Provider {
    name: "CodePipeline",
    definition: include_str!("../../../../../../statemachine/actions/CodePipeline.asl.json"),
    answers: include_str!("../../../../../../tests/fixtures/providers/codepipeline.json"),
    errors: "",
    start: "StartPipelineExecution",
    look: "GetPipelineExecution",
    stop: "StopPipelineExecution",
};

/// What one run of a machine is told: answers by operation, in order, the last again and again.
#[derive(Default)]
pub(super) struct Story {
    pub(super) configuration: Value,
    pub(super) script: Value,
    /// Works on this job of a rule.
    pub(super) rule: Option<&'static str>,
    pub(super) inputs: Vec<&'static str>,
    pub(super) outputs: Vec<&'static str>,
    pub(super) kms_key: Option<&'static str>,
    /// The partition's console is not public.
    pub(super) has_no_console: bool,
    pub(super) start: Vec<&'static str>,
    pub(super) look: Vec<&'static str>,
    pub(super) stop: Vec<&'static str>,
    /// What the first report is answered.
    pub(super) noted: Option<&'static str>,
    /// How often the work is still wanted when the machine asks for its turn; always, where nothing is said.
    pub(super) turns: Option<usize>,
    /// The text of whatever file is read.
    pub(super) file: Option<&'static str>,
    /// Stops this work instead of running.
    pub(super) stops: Option<&'static str>,
}

/// What a machine did.
pub(super) struct Told {
    pub(super) world: World,
    pub(super) arn: String,
    pub(super) provider: &'static Provider,
}

impl Provider {
    pub(super) async fn tell(&'static self, story: Story) -> Told {
        let answers: BTreeMap<String, Value> = serde_json::from_str(self.answers).expect("fixtures are JSON");
        let noted = story.noted.unwrap_or("InProgress");
        let (file, turns) = (story.file, story.turns.unwrap_or(usize::MAX));
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let mut fakes = Fakes::default().with("run-action", move |payload, _| {
            if payload["operation"] == "Read" {
                let no_file = json!({ "code": "ConfigurationError", "message": "Artifact 'App': no file" });
                return Ok(match file {
                    Some(content) => json!({ "status": "InProgress", "content": content }),
                    None => json!({ "status": "InProgress", "error": no_file }),
                });
            }
            let status = &payload["report"]["status"];
            if is_turn(&payload["report"]) {
                let wanted = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < turns;
                return Ok(json!({ "status": if wanted { "InProgress" } else { "Failed" } }));
            }
            Ok(json!({ "status": if status == "InProgress" { json!(noted) } else { status.clone() } }))
        });
        let script = |names: Vec<&'static str>, errors: &'static str| {
            let answers = answers.clone();
            move |before: usize| {
                let name = names.get(before).or(names.last()).unwrap_or_else(|| panic!("nobody told an answer"));
                answer(&answers[*name], errors)
            }
        };
        let (start, look, stop) =
            (script(story.start, self.errors), script(story.look, self.errors), script(story.stop, self.errors));
        if self.errors.is_empty() {
            let counts = std::sync::Mutex::new(BTreeMap::<String, usize>::new());
            fakes = fakes.with("api", move |payload, _| {
                let target = payload["headers"]["x-amz-target"].as_str().expect("a target").to_owned();
                let before =
                    counts.lock().unwrap().entry(target.clone()).and_modify(|n| *n += 1).or_default().to_owned();
                let said = match target.rsplit('.').next() {
                    Some("StartPipelineExecution") => start(before),
                    Some("GetPipelineExecution") => look(before),
                    _ => stop(before),
                };
                let (code, body) = match said {
                    Ok(body) => (200, decapitalised(body)),
                    Err(error) => (400, json!({ "__type": error.error, "message": error.cause })),
                };
                Ok(json!({ "statusCode": code, "body": body.to_string(), "headers": {}, "isBase64Encoded": false }))
            });
        } else {
            fakes = fakes.with(self.start, move |_, before| start(before));
            fakes = fakes.with(self.look, move |_, before| look(before));
            fakes = fakes.with(self.stop, move |_, before| stop(before));
        }
        let world = World::new(fakes);
        let definition = self
            .definition
            .replace("${Partition}", "aws")
            .replace("${RunActionFunctionArn}", "run-action")
            .replace("${ApiFunctionArn}", "api")
            .replace("${CommandsProjectName}", "lastgood-commands");
        world.states.put_state_machine("machine", &definition).expect("inside the subset");
        let at = |name: &&str| json!({ "name": name, "bucket": "artifacts", "key": format!("shop/{name}/x1") });
        let input = json!({
            "operation": if story.stops.is_some() { "Stop" } else { "Run" },
            "pipeline": "shop", "executionId": "01998a3f-7f4e-7c1d-9b1a-3f2f6a0c9d11", "stage": "Build",
            "generation": 4, "attempt": 1, "action": "Make", "actionExecutionId": "3f0d7c1e-0d0a-5f1e-8a1b-000000000001",
            "configuration": story.configuration, "script": story.script, "rule": story.rule, "kmsKey": story.kms_key,
            "inputs": story.inputs.iter().map(at).collect::<Vec<_>>(),
            "outputs": story.outputs.iter().map(at).collect::<Vec<_>>(),
            "roleArn": "arn:aws:iam::111122223333:role/pipeline", "region": "eu-west-1", "account": "111122223333",
            "awsConsole": if story.has_no_console { Value::Null } else { json!(CONSOLE) },
            "externalExecutionId": story.stops,
        });
        let arn = world.start("machine", "run", input).await;
        let ended = world.finish(&arn).await;
        output(&ended);
        Told { world, arn, provider: self }
    }
}

/// Whether a report asks for a turn: it says of no work.
fn is_turn(report: &Value) -> bool {
    report["status"] == "InProgress" && report["externalExecutionId"].is_null()
}

/// An answer as Step Functions gives it to a machine.
fn answer(wire: &Value, errors: &str) -> Result<Value, FunctionError> {
    let Some(kind) = wire["__type"].as_str() else { return Ok(renamed(wire.clone(), &|c| c.to_ascii_uppercase())) };
    let suffix = if kind.ends_with("Exception") { "" } else { "Exception" };
    let error = if errors.is_empty() { kind.to_owned() } else { format!("{errors}.{kind}{suffix}") };
    Err(FunctionError { error, cause: wire["message"].as_str().unwrap_or_default().to_owned() })
}

fn decapitalised(value: Value) -> Value {
    renamed(value, &|c| c.to_ascii_lowercase())
}

fn renamed(value: Value, first: &impl Fn(&char) -> char) -> Value {
    let name = |name: String| {
        let mut letters = name.chars();
        letters.next().map(|letter| first(&letter)).into_iter().chain(letters).collect::<String>()
    };
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (name(key), renamed(value, first))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(|item| renamed(item, first)).collect(),
        other => other,
    }
}

impl Told {
    /// Everything that was reported of work, or of its end, in order.
    pub(super) fn reports(&self) -> Vec<Value> {
        let calls = self.world.functions.calls("run-action").into_iter();
        let reports = calls.filter(|payload| payload["operation"] == "Report").map(|payload| payload["report"].clone());
        reports.filter(|report| !is_turn(report)).collect()
    }

    /// How often the machine asked for its turn.
    pub(super) fn turns(&self) -> usize {
        self.world.functions.calls("run-action").iter().filter(|payload| is_turn(&payload["report"])).count()
    }

    pub(super) fn last(&self) -> Value {
        self.reports().pop().expect("a report")
    }

    pub(super) fn asked(&self, operation: &str) -> Vec<Value> {
        if !self.provider.errors.is_empty() {
            return self.world.functions.calls(operation);
        }
        let target = format!("CodePipeline_20150709.{operation}");
        let calls = self.world.functions.calls("api").into_iter();
        let calls = calls.filter(|payload| payload["headers"]["x-amz-target"] == target);
        calls.map(|payload| serde_json::from_str(payload["body"].as_str().expect("a body")).expect("JSON")).collect()
    }

    pub(super) fn starts(&self) -> usize {
        self.asked(self.provider.start).len()
    }

    pub(super) fn stops(&self) -> usize {
        self.asked(self.provider.stop).len()
    }
}
