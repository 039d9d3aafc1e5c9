//! Those who use the system: people at the API, job workers, the users' functions, and whoever uploads.

use std::collections::BTreeMap;

use domain::{AlarmState, Execution, ExecutionId, Phase, StageStatus};
use engine::ports::ObjectAt;
use jiff::{SignedDuration, Timestamp};
use local_states::{Call, FunctionError};
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    checks::Checker,
    cloud::{ACCOUNT, Cloud, REGION},
    faults::{Dial, Dials},
    pipelines::{self, CUSTOM, PROD, SITE, UPLOADS},
    run::By,
    story::Story,
};

/// Times a start is asked for again while it is not answered.
const ASKED_AGAIN_MAX: u32 = 3;

/// What happens at its time.
pub(crate) enum Later {
    /// The reconciler's schedule.
    Tick,
    /// Workers look for jobs.
    Poll,
    /// A call of a state machine that takes its time.
    Call(Call),
    /// A function is called.
    Begin(By, String, Value),
    /// An event is on its way to a function.
    Deliver(String, Value),
    /// The function with this number has had its time.
    GiveUp(u32),
}

impl Later {
    /// Whether it comes again and again.
    pub(crate) fn is_routine(&self) -> bool {
        matches!(self, Self::Tick | Self::Poll | Self::GiveUp(_))
    }
}

/// What somebody asked.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// To start a release, with a token.
    Start { token: String, input: Value, again: u32 },
    /// For jobs.
    Poll,
    /// To have a job.
    Acknowledge { job: String },
    /// Anything else.
    Other,
}

/// Everybody outside.
pub(crate) struct People {
    chance: Chance,
    cloud: Cloud,
    declarations: BTreeMap<String, Value>,
    /// Things they still do.
    left: u32,
    /// Whether nobody vanishes any more.
    are_calm: bool,
    workers_vanish: u32,
    releases: u32,
    tokens: u32,
    /// What each token started.
    started: BTreeMap<String, String>,
    /// How often each job was given away.
    acknowledged: BTreeMap<String, u32>,
    /// A promise that was broken.
    pub(crate) broken: Option<String>,
}

type Soon = Vec<(SignedDuration, Later)>;

impl People {
    pub(crate) fn new(cloud: &Cloud, chance: &mut Chance, interventions: u32) -> Self {
        let mut chance = chance.fork();
        let names = ["shop", "blog", "mail"];
        let count = 1 + chance.below(names.len());
        let declarations =
            names[..count].iter().map(|name| ((*name).to_owned(), pipelines::declaration(name, &mut chance))).collect();
        Self {
            chance,
            cloud: cloud.clone(),
            declarations,
            left: interventions,
            are_calm: false,
            workers_vanish: 0,
            releases: 0,
            tokens: 0,
            started: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            broken: None,
        }
    }

    /// A first release of each pipeline, and the pipelines.
    pub(crate) fn set_up(&mut self) -> Vec<Later> {
        let (category, provider, version) = CUSTOM;
        let custom = json!({
            "category": category, "provider": provider, "version": version,
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
            "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
        });
        let mut first = vec![ask(Asked::Other, "CreateCustomActionType", custom)];
        if self.declarations.values().any(|declaration| declaration.to_string().contains(provider)) {
            first.push(Later::Poll);
        }
        for (name, declaration) in self.declarations.clone() {
            self.cloud.state().alarms.insert(
                pipelines::alarm_arn(pipelines::alarm(&name)),
                (AlarmState::Ok, self.cloud.now() - SignedDuration::from_hours(1)),
            );
            self.release(&name);
            first.push(ask(Asked::Other, "CreatePipeline", json!({"pipeline": declaration})));
        }
        first
    }

    pub(crate) fn has_more(&self) -> bool {
        self.left > 0
    }

    /// Nobody vanishes any more.
    pub(crate) fn calm_down(&mut self) {
        self.are_calm = true;
    }

    /// Lambda was given `payload` for a function of the users'.
    pub(crate) fn invoked(&mut self, function: &str, payload: &Value, dials: &Dials) -> Soon {
        self.workers_vanish = dials.of(Dial::Workers);
        let job = &payload["CodePipeline.job"];
        let Some(id) = job["id"].as_str() else { return Vec::new() };
        let goes_on = job["data"]["continuationToken"].is_string();
        let fails = if function == "check" { 150 } else { 60 };
        let mut soon = self.work(id, fails, !goes_on);
        if self.chance.permille(dials.of(Dial::Duplicates)) {
            // Lambda delivers an event at least once.
            soon.extend(self.work(id, fails, false));
        }
        soon
    }

    /// Somebody works on a job, or vanishes.
    fn work(&mut self, job: &str, fails_permille: u32, may_go_on: bool) -> Soon {
        if !self.are_calm && self.chance.permille(self.workers_vanish) {
            return Vec::new();
        }
        let delay = SignedDuration::from_secs(self.chance.between(1, 45));
        let (operation, input) = if self.chance.permille(fails_permille) {
            ("PutJobFailureResult", json!({"jobId": job, "failureDetails": {"type": "JobFailed", "message": "bad"}}))
        } else if may_go_on && self.chance.permille(100) {
            ("PutJobSuccessResult", json!({"jobId": job, "continuationToken": "more"}))
        } else {
            ("PutJobSuccessResult", json!({"jobId": job}))
        };
        let mut soon = vec![(delay, ask(Asked::Other, operation, input.clone()))];
        if self.chance.permille(150) {
            // Who is not sure to be heard says it again.
            let later = delay + SignedDuration::from_secs(self.chance.between(1, 30));
            soon.push((later, ask(Asked::Other, operation, input)));
        }
        soon
    }

    /// Workers ask for jobs.
    pub(crate) fn poll(&mut self) -> Later {
        let (category, provider, version) = CUSTOM;
        let id = json!({"category": category, "owner": "Custom", "provider": provider, "version": version});
        ask(Asked::Poll, "PollForJobs", json!({"actionTypeId": id, "maxBatchSize": 5}))
    }

    /// Somebody learns what came of what they asked.
    pub(crate) fn answered(
        &mut self,
        asked: Asked,
        outcome: Result<Value, FunctionError>,
        story: &mut Story,
        now: Timestamp,
    ) -> Soon {
        let reply = outcome.unwrap_or_default();
        let status = reply["statusCode"].as_u64().unwrap_or(500);
        let body: Value = serde_json::from_str(reply["body"].as_str().unwrap_or_default()).unwrap_or_default();
        match asked {
            Asked::Start { token, input, again } if status >= 500 && again < ASKED_AGAIN_MAX => {
                let asked = Asked::Start { token, input: input.clone(), again: again + 1 };
                let delay = SignedDuration::from_secs(self.chance.between(1, 20));
                return vec![(delay, ask(asked, "StartPipelineExecution", input))];
            }
            Asked::Start { token, .. } if status == 200 => {
                let id = body["pipelineExecutionId"].as_str().unwrap_or_default().to_owned();
                let first = self.started.entry(token.clone()).or_insert_with(|| id.clone());
                if *first != id {
                    self.broken = Some(format!("token {token} started {first} and {id}"));
                }
            }
            Asked::Poll if status == 200 => {
                let jobs = body["jobs"].as_array().cloned().unwrap_or_default();
                return jobs.iter().flat_map(|job| self.acknowledge(job)).collect();
            }
            Asked::Acknowledge { job } if status == 200 && body["status"] == "InProgress" => {
                let times = self.acknowledged.entry(job.clone()).or_default();
                *times += 1;
                if *times > 1 {
                    story.tell(now, || format!("job {job} was acknowledged {times} times"));
                }
                return self.work(&job, 60, true);
            }
            _ => {}
        }
        Vec::new()
    }

    fn acknowledge(&mut self, job: &Value) -> Soon {
        if !self.are_calm && self.chance.permille(self.workers_vanish) {
            return Vec::new();
        }
        let (Some(id), Some(nonce)) = (job["id"].as_str(), job["nonce"].as_str()) else { return Vec::new() };
        let delay = SignedDuration::from_secs(self.chance.between(0, 45));
        let asked = Asked::Acknowledge { job: id.to_owned() };
        vec![(delay, ask(asked, "AcknowledgeJob", json!({"jobId": id, "nonce": nonce})))]
    }

    /// Does one more thing.
    pub(crate) fn intervene(&mut self, cloud: &Cloud, checker: &Checker, dials: &Dials, story: &mut Story) -> Soon {
        self.left -= 1;
        let names: Vec<String> = self.declarations.keys().cloned().collect();
        let pipeline = self.chance.one_of(&names).clone();
        let executions: Vec<&Execution> =
            checker.executions().values().filter(|execution| execution.pipeline.as_str() == pipeline).collect();
        let stages: Vec<String> = checker.stages_of(&pipeline);
        if executions.is_empty() || stages.is_empty() {
            return Vec::new();
        }
        let execution = (*self.chance.one_of(&executions)).clone();
        let stage = self.chance.one_of(&stages).clone();
        let kind = self.chance.below(30);
        let (operation, input) = match kind {
            0..=5 => return self.upload(&pipeline),
            6..=8 => return self.start(&pipeline),
            9..=10 => {
                let abandon = self.chance.permille(500);
                let open: Vec<&&Execution> = executions.iter().filter(|one| !one.phase.is_ended()).collect();
                let id = if open.is_empty() { execution.id } else { self.chance.one_of(&open).id };
                (
                    "StopPipelineExecution",
                    json!({"pipelineName": pipeline, "pipelineExecutionId": id, "abandon": abandon}),
                )
            }
            11..=13 => {
                let mode = *self.chance.one_of(&["FAILED_ACTIONS", "ALL_ACTIONS"]);
                let (id, stage) = self.retryable(&executions).unwrap_or((execution.id, stage));
                let input =
                    json!({"pipelineName": pipeline, "stageName": stage, "pipelineExecutionId": id, "retryMode": mode});
                ("RetryStageExecution", input)
            }
            14..=17 => {
                let good = self.gone_well(&executions);
                let id = good.filter(|_| self.chance.permille(800)).unwrap_or(execution.id);
                let target = json!({"pipelineName": pipeline, "stageName": PROD, "targetPipelineExecutionId": id});
                let mut soon = vec![(SignedDuration::ZERO, ask(Asked::Other, "RollbackStage", target.clone()))];
                if self.chance.permille(200) {
                    soon.push((SignedDuration::ZERO, ask(Asked::Other, "RollbackStage", target)));
                }
                return soon;
            }
            18..=20 => return self.approve(checker, &pipeline),
            21 => {
                let input =
                    json!({"pipelineName": pipeline, "stageName": stage, "transitionType": "Inbound", "reason": "sim"});
                ("DisableStageTransition", input)
            }
            22..=23 => {
                ("EnableStageTransition", transition(&pipeline, checker.closed_stage(&pipeline).unwrap_or(stage)))
            }
            24 => ("UpdatePipeline", json!({"pipeline": self.edited(&pipeline)})),
            25 => {
                let kind = *self.chance.one_of(&["BEFORE_ENTRY", "ON_SUCCESS"]);
                let input = json!({"pipelineName": pipeline, "stageName": PROD, "pipelineExecutionId": execution.id, "conditionType": kind});
                ("OverrideStageCondition", input)
            }
            26 => ("ReleaseHold", json!({"pipelineName": pipeline, "stageName": PROD, "comment": "sim"})),
            _ => return self.turn_alarm(cloud, &pipeline, dials, story),
        };
        vec![(SignedDuration::ZERO, ask(Asked::Other, operation, input))]
    }

    /// Lifts what is closed, and answers what is asked.
    pub(crate) fn tidy_up(&mut self, checker: &Checker, now: Timestamp) -> Vec<Later> {
        for alarm in self.cloud.state().alarms.values_mut() {
            if alarm.0 != AlarmState::Ok {
                *alarm = (AlarmState::Ok, now);
            }
        }
        let mut done = Vec::new();
        for name in self.declarations.keys() {
            if let Some(stage) = checker.closed_stage(name) {
                done.push(ask(Asked::Other, "EnableStageTransition", transition(name, stage)));
            }
        }
        let asked: Vec<Value> = self.declarations.keys().flat_map(|name| checker.approvals(name)).collect();
        done.extend(
            asked.into_iter().map(|input| ask(Asked::Other, "PutApprovalResult", with_result(input, "Approved"))),
        );
        done
    }

    /// Stores a release where the pipeline takes it from. Gives the key and the version.
    fn release(&mut self, pipeline: &str) -> (String, String) {
        self.releases += 1;
        let key = pipelines::upload_key(pipeline);
        let body = format!("release {} of {pipeline}", self.releases);
        let written = self.cloud.objects.store(&ObjectAt::new(UPLOADS, &key), body);
        (key, written.version_id.unwrap_or_default())
    }

    fn upload(&mut self, pipeline: &str) -> Soon {
        let (key, version) = self.release(pipeline);
        let detail = json!({
            "version": "0", "bucket": {"name": UPLOADS}, "reason": "PutObject",
            "object": {"key": key, "size": 20, "etag": "e", "version-id": version, "sequencer": format!("{:016X}", self.releases)},
        });
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": detail});
        vec![(SignedDuration::ZERO, Later::Deliver("source-trigger".to_owned(), event))]
    }

    fn start(&mut self, pipeline: &str) -> Soon {
        self.tokens += 1;
        let token = format!("token-{}", self.tokens);
        let input = json!({"name": pipeline, "clientRequestToken": token});
        let once = |again| {
            ask(
                Asked::Start { token: token.clone(), input: input.clone(), again },
                "StartPipelineExecution",
                input.clone(),
            )
        };
        let mut soon = vec![(SignedDuration::ZERO, once(0))];
        if self.chance.permille(300) {
            let delay = SignedDuration::from_millis(self.chance.between(0, 3000));
            soon.push((delay, once(ASKED_AGAIN_MAX)));
        }
        soon
    }

    fn retryable(&mut self, executions: &[&Execution]) -> Option<(ExecutionId, String)> {
        let failed: Vec<(ExecutionId, String)> = executions
            .iter()
            .filter_map(|execution| match &execution.phase {
                Phase::Failed { stage: Some(stage) } => Some((execution.id, stage.to_string())),
                Phase::Stopped => execution.stages.keys().last().map(|stage| (execution.id, stage.to_string())),
                _ => None,
            })
            .collect();
        (!failed.is_empty()).then(|| self.chance.one_of(&failed).clone())
    }

    /// An execution that succeeded in the stage that deploys.
    fn gone_well(&mut self, executions: &[&Execution]) -> Option<ExecutionId> {
        let went_well = |execution: &&Execution| {
            let mut stages = execution.stages.iter();
            stages.any(|(name, of)| name.as_str() == PROD && of.status == StageStatus::Succeeded)
        };
        let good: Vec<ExecutionId> =
            executions.iter().copied().filter(went_well).map(|execution| execution.id).collect();
        (!good.is_empty()).then(|| *self.chance.one_of(&good))
    }

    fn approve(&mut self, checker: &Checker, pipeline: &str) -> Soon {
        let result = if self.chance.permille(750) { "Approved" } else { "Rejected" };
        let asked = checker.approvals(pipeline);
        let answer = |input| ask(Asked::Other, "PutApprovalResult", with_result(input, result));
        asked.into_iter().map(|input| (SignedDuration::ZERO, answer(input))).collect()
    }

    /// The declaration with a change that matters, or does not matter, to the stage that deploys.
    fn edited(&mut self, pipeline: &str) -> Value {
        self.releases += 1;
        let edit = format!("edit {}", self.releases);
        let change = self.chance.below(3);
        let Some(declaration) = self.declarations.get_mut(pipeline) else { return Value::Null };
        let Some(stages) = declaration["stages"].as_array_mut() else { return Value::Null };
        let place = if change == 0 { stages.len() - 1 } else { 0 };
        match change {
            0 | 1 => {
                let actions = stages[place]["actions"].as_array_mut();
                if let Some(last) = actions.and_then(|actions| actions.last_mut())
                    && last["actionTypeId"]["provider"] == "Lambda"
                {
                    last["configuration"]["UserParameters"] = edit.into();
                }
            }
            _ if declaration["executionMode"] == "QUEUED" => declaration["executionMode"] = "SUPERSEDED".into(),
            _ if declaration["executionMode"] == "SUPERSEDED" => declaration["executionMode"] = "QUEUED".into(),
            _ => {}
        }
        declaration.clone()
    }

    fn turn_alarm(&mut self, cloud: &Cloud, pipeline: &str, dials: &Dials, story: &mut Story) -> Soon {
        let arn = pipelines::alarm_arn(pipelines::alarm(pipeline));
        let now = cloud.now();
        let (before, state) = {
            let mut cloud = cloud.state();
            let alarm = cloud.alarms.entry(arn.clone()).or_insert((AlarmState::Ok, now));
            let before = alarm.0;
            let choices = [AlarmState::Alarm, AlarmState::Alarm, AlarmState::Ok, AlarmState::InsufficientData];
            let state = if before == AlarmState::Alarm { AlarmState::Ok } else { *self.chance.one_of(&choices) };
            *alarm = (state, now);
            (before, state)
        };
        story.tell(now, || format!("alarm {arn} turns {state:?}"));
        if before == state || self.chance.permille(dials.of(Dial::Alarms)) {
            // An event can be lost.
            return Vec::new();
        }
        let spelled = |state: AlarmState| serde_json::to_value(state).unwrap_or_default();
        let event = json!({
            "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "resources": [arn],
            "detail": {
                "previousState": {"value": spelled(before)},
                "state": {"value": spelled(state), "reason": "simulated", "timestamp": now.to_string()},
            },
        });
        vec![(SignedDuration::ZERO, Later::Deliver("alarm-handler".to_owned(), event))]
    }
}

/// Where `pipeline` deploys to.
pub(crate) fn site(pipeline: &str) -> ObjectAt {
    ObjectAt::new(SITE, pipeline)
}

fn transition(pipeline: &str, stage: String) -> Value {
    json!({"pipelineName": pipeline, "stageName": stage, "transitionType": "Inbound"})
}

fn with_result(mut input: Value, status: &str) -> Value {
    input["result"] = json!({"status": status, "summary": "sim"});
    input
}

/// A request to the API by AWS JSON 1.1.
fn ask(asked: Asked, operation: &str, input: Value) -> Later {
    let ours = protocol::Operation::find(protocol::Service::Lastgood, operation).is_some();
    let service = if ours { protocol::Service::Lastgood } else { protocol::Service::CodePipeline }.target();
    let event = json!({
        "rawPath": "/",
        "headers": {
            "x-amz-target": format!("{service}.{operation}"),
            "content-type": "application/x-amz-json-1.1",
            "authorization": format!("AWS4-HMAC-SHA256 Credential=AKIDSIM/20261123/{REGION}/codepipeline/aws4_request"),
        },
        "requestContext": {"http": {"method": "POST", "sourceIp": "192.0.2.1"}, "domainName": "api.example.com", "authorizer": {"iam": {"userArn": format!("arn:aws:iam::{ACCOUNT}:user/ana")}}},
        "body": input.to_string(),
        "isBase64Encoded": false,
    });
    Later::Begin(By::Person(asked), "api".to_owned(), event)
}
