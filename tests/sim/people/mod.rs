//! Those who use the system: people at the API, job workers, the users' functions, and whoever uploads.

mod deeds;

use std::collections::{BTreeMap, BTreeSet};

use domain::AlarmState;
use engine::ports::ObjectAt;
use jiff::{SignedDuration, Timestamp};
use local_states::{Call, FunctionError};
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    checks::Checker,
    cloud::{ACCOUNT, Cloud, REGION},
    faults::{Dial, Dials},
    mutants::Habit,
    pipelines::{self, CUSTOM, SITE, UPLOADS},
    run::By,
};

/// Times a start is asked for again while it is not answered.
const ASKED_AGAIN_MAX: u32 = 3;

/// Latest uploads of which one is uploaded once more.
const BODIES: usize = 4;

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
    /// To have a job, by the worker that was given it with this nonce.
    Acknowledge { job: String, nonce: String },
    /// To do what has to be done: it is asked for again until it is.
    UntilDone { operation: &'static str, input: Value },
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
    /// What was uploaded, in order.
    bodies: Vec<String>,
    tokens: u32,
    /// What each token started.
    started: BTreeMap<String, String>,
    /// Pipelines that somebody wanted to be deleted, as JSON has their names.
    deleted: BTreeSet<String>,
    /// The worker that has each job, by the nonce it was given.
    acknowledged: BTreeMap<String, String>,
    /// What they mostly do.
    habit: Habit,
    /// A promise that was broken.
    pub(crate) broken: Option<String>,
}

type Soon = Vec<(SignedDuration, Later)>;

impl People {
    pub(crate) fn new(cloud: &Cloud, chance: &mut Chance, dials: &Dials, interventions: u32, habit: Habit) -> Self {
        let mut chance = chance.fork();
        let names = ["shop", "blog", "mail"];
        let names = &names[..1 + chance.below(names.len())];
        let drawn = |(place, name): (usize, &&str)| {
            ((*name).to_owned(), pipelines::declaration(name, &names[place + 1..], dials, &mut chance))
        };
        let declarations = names.iter().enumerate().map(drawn).collect();
        Self {
            chance,
            cloud: cloud.clone(),
            declarations,
            left: interventions,
            are_calm: false,
            workers_vanish: 0,
            releases: 0,
            bodies: Vec::new(),
            tokens: 0,
            started: BTreeMap::new(),
            deleted: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            habit,
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
        let fails = match function {
            "check" => 150,
            "gate" => 120,
            _ => 60,
        };
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

    /// Workers ask for jobs, sometimes several at the same time.
    pub(crate) fn poll(&mut self) -> Vec<Later> {
        let (category, provider, version) = CUSTOM;
        let id = json!({"category": category, "owner": "Custom", "provider": provider, "version": version});
        let poll = || ask(Asked::Poll, "PollForJobs", json!({"actionTypeId": id, "maxBatchSize": 5}));
        let workers = if self.are_calm { 1 } else { 1 + self.chance.below(3) };
        (0..workers).map(|_| poll()).collect()
    }

    /// Somebody learns what came of what they asked.
    pub(crate) fn answered(&mut self, asked: Asked, outcome: Result<Value, FunctionError>) -> Soon {
        let reply = outcome.unwrap_or_default();
        let status = reply["statusCode"].as_u64().unwrap_or(500);
        let body: Value = serde_json::from_str(reply["body"].as_str().unwrap_or_default()).unwrap_or_default();
        match asked {
            Asked::Start { token, input, again } if status >= 500 && again < ASKED_AGAIN_MAX => {
                let asked = Asked::Start { token, input: input.clone(), again: again + 1 };
                let delay = SignedDuration::from_secs(self.chance.between(1, 20));
                return vec![(delay, ask(asked, "StartPipelineExecution", input))];
            }
            // A pipeline made anew knows nothing of what its predecessor was asked.
            Asked::Start { input, .. } if status == 200 && self.deleted.contains(&input["name"].to_string()) => {}
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
            Asked::Acknowledge { job, nonce } if status == 200 && body["status"] == "InProgress" => {
                match self.acknowledged.get(&job) {
                    None => {
                        self.acknowledged.insert(job.clone(), nonce);
                        return self.work(&job, 60, true);
                    }
                    // Who asked twice knows it already.
                    Some(first) if *first == nonce => {}
                    Some(_) => self.broken = Some(format!("two workers have job {job}")),
                }
            }
            Asked::UntilDone { operation, input } if status >= 500 => {
                let delay = SignedDuration::from_secs(self.chance.between(5, 60));
                return vec![(delay, until_done(operation, input))];
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
        let acknowledge = || {
            let asked = Asked::Acknowledge { job: id.to_owned(), nonce: nonce.to_owned() };
            ask(asked, "AcknowledgeJob", json!({"jobId": id, "nonce": nonce}))
        };
        let mut soon = vec![(delay, acknowledge())];
        if self.chance.permille(150) {
            let again = SignedDuration::from_secs(self.chance.between(0, 20));
            soon.push((delay + again, acknowledge()));
        }
        soon
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
        let body = format!("release {} of {pipeline}", self.releases);
        self.bodies.push(body.clone());
        self.store_release(pipeline, body)
    }

    /// Stores one of the latest releases once more, as if it were new.
    fn release_again(&mut self, pipeline: &str) -> (String, String) {
        self.releases += 1;
        let latest = &self.bodies[self.bodies.len().saturating_sub(BODIES)..];
        let body = self.chance.one_of(latest).clone();
        self.store_release(pipeline, body)
    }

    fn store_release(&self, pipeline: &str, body: String) -> (String, String) {
        let key = pipelines::upload_key(pipeline);
        let written = self.cloud.objects.store(&ObjectAt::new(UPLOADS, &key), body);
        (key, written.version_id.unwrap_or_default())
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

/// What is asked for until it is answered.
fn until_done(operation: &'static str, input: Value) -> Later {
    ask(Asked::UntilDone { operation, input: input.clone() }, operation, input)
}

/// A request to the API by AWS JSON 1.1.
fn ask(asked: Asked, operation: &str, input: Value) -> Later {
    Later::Begin(By::Person(asked), "api".to_owned(), api_event(operation, &input))
}

/// What API Gateway makes of a request by AWS JSON 1.1.
pub fn api_event(operation: &str, input: &Value) -> Value {
    let ours = protocol::Operation::find(protocol::Service::Lastgood, operation).is_some();
    let service = if ours { protocol::Service::Lastgood } else { protocol::Service::CodePipeline }.target();
    json!({
        "rawPath": "/",
        "headers": {
            "x-amz-target": format!("{service}.{operation}"),
            "content-type": "application/x-amz-json-1.1",
            "authorization": format!("AWS4-HMAC-SHA256 Credential=AKIDSIM/20261123/{REGION}/codepipeline/aws4_request"),
        },
        "requestContext": {"http": {"method": "POST", "sourceIp": "192.0.2.1"}, "domainName": "api.example.com", "authorizer": {"iam": {"userArn": format!("arn:aws:iam::{ACCOUNT}:user/ana")}}},
        "body": input.to_string(),
        "isBase64Encoded": false,
    })
}
