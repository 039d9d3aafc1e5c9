//! What people do while everything may fail.

use domain::{AlarmState, Execution, ExecutionId, Phase, StageStatus};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ASKED_AGAIN_MAX, Asked, Later, People, Soon, ask, transition, until_done, with_result};
use crate::{
    checks::Checker,
    cloud::Cloud,
    faults::{Dial, Dials},
    mutants::Habit,
    pipelines::{self, PROD, UPLOADS},
    story::Story,
};

/// One thing that somebody can do.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Upload,
    UploadAgain,
    Reinstate,
    Start,
    Stop,
    Retry,
    GoBack,
    Approve,
    Close,
    Open,
    Update,
    SetMode,
    Override,
    ReleaseHold,
    Delete,
    TurnAlarm,
}

/// Each with how often it is done.
const USUAL: [(Deed, usize); 16] = [
    (Deed::Upload, 6),
    (Deed::UploadAgain, 2),
    (Deed::Reinstate, 1),
    (Deed::Start, 3),
    (Deed::Stop, 2),
    (Deed::Retry, 3),
    (Deed::GoBack, 4),
    (Deed::Approve, 3),
    (Deed::Close, 2),
    (Deed::Open, 2),
    (Deed::Update, 1),
    (Deed::SetMode, 1),
    (Deed::Override, 1),
    (Deed::ReleaseHold, 1),
    (Deed::Delete, 1),
    (Deed::TurnAlarm, 4),
];
/// Of those who go back again and again.
const RESTLESS: [(Deed, usize); 4] = [(Deed::Upload, 4), (Deed::GoBack, 8), (Deed::Approve, 1), (Deed::Open, 4)];
/// In a thousand deletions that somebody thinks of, those that are done.
const DELETIONS: u32 = 300;

impl People {
    fn deed(&mut self) -> Deed {
        let deeds: &[(Deed, usize)] = match self.habit {
            Habit::Usual => &USUAL,
            Habit::GoingBack => &RESTLESS,
        };
        let mut place = self.chance.below(deeds.iter().map(|(_, weight)| weight).sum());
        let found = deeds.iter().find(|(_, weight)| {
            let is_it = place < *weight;
            place = place.saturating_sub(*weight);
            is_it
        });
        found.map_or(Deed::Upload, |(deed, _)| *deed)
    }

    /// Does one more thing.
    pub(crate) fn intervene(&mut self, cloud: &Cloud, checker: &Checker, dials: &Dials, story: &mut Story) -> Soon {
        self.left -= 1;
        let names: Vec<String> = self.declarations.keys().cloned().collect();
        let pipeline = self.chance.one_of(&names).clone();
        let executions: Vec<&Execution> =
            checker.executions().values().filter(|execution| execution.pipeline.as_str() == pipeline).collect();
        let stages: Vec<String> = checker.stages_of(&pipeline);
        if stages.is_empty() {
            return self.create(&pipeline);
        }
        let deed = self.deed();
        if executions.is_empty() {
            return if matches!(deed, Deed::Start) { self.start(&pipeline) } else { self.upload(&pipeline) };
        }
        let execution = (*self.chance.one_of(&executions)).clone();
        let stage = self.chance.one_of(&stages).clone();
        let (operation, input) = match deed {
            Deed::Upload => return self.upload(&pipeline),
            Deed::UploadAgain => return self.upload_again(&pipeline),
            Deed::Reinstate => {
                let revoked = checker.reinstatable();
                if revoked.is_empty() {
                    return self.upload_again(&pipeline);
                }
                let content = self.chance.one_of(&revoked).clone();
                ("ReinstateRevision", json!({"contentId": content, "reason": "sim"}))
            }
            Deed::Start => return self.start(&pipeline),
            Deed::Stop => {
                let abandon = self.chance.permille(500);
                let open: Vec<&&Execution> = executions.iter().filter(|one| !one.phase.is_ended()).collect();
                let id = if open.is_empty() { execution.id } else { self.chance.one_of(&open).id };
                (
                    "StopPipelineExecution",
                    json!({"pipelineName": pipeline, "pipelineExecutionId": id, "abandon": abandon}),
                )
            }
            Deed::Retry => {
                let mode = *self.chance.one_of(&["FAILED_ACTIONS", "ALL_ACTIONS"]);
                let (id, stage) = self.retryable(&executions).unwrap_or((execution.id, stage));
                let input =
                    json!({"pipelineName": pipeline, "stageName": stage, "pipelineExecutionId": id, "retryMode": mode});
                ("RetryStageExecution", input)
            }
            Deed::GoBack => {
                let id = self.target(&executions).unwrap_or(execution.id);
                return self.go_back(&pipeline, id);
            }
            Deed::Approve => return self.approve(checker, &pipeline),
            Deed::Close => {
                let input =
                    json!({"pipelineName": pipeline, "stageName": stage, "transitionType": "Inbound", "reason": "sim"});
                ("DisableStageTransition", input)
            }
            Deed::Open => {
                ("EnableStageTransition", transition(&pipeline, checker.closed_stage(&pipeline).unwrap_or(stage)))
            }
            Deed::Update => ("UpdatePipeline", json!({"pipeline": self.edited(&pipeline)})),
            Deed::SetMode => ("UpdatePipeline", json!({"pipeline": self.in_another_mode(&pipeline)})),
            Deed::Override => {
                let kind = *self.chance.one_of(&["BEFORE_ENTRY", "ON_SUCCESS"]);
                let id = checker.held_up(&pipeline).unwrap_or(execution.id);
                let input = json!({"pipelineName": pipeline, "stageName": PROD, "pipelineExecutionId": id, "conditionType": kind});
                ("OverrideStageCondition", input)
            }
            Deed::ReleaseHold => {
                ("ReleaseHold", json!({"pipelineName": pipeline, "stageName": PROD, "comment": "sim"}))
            }
            Deed::Delete => return self.delete(&pipeline),
            Deed::TurnAlarm => return self.turn_alarm(cloud, &pipeline, dials, story),
        };
        now(ask(Asked::Other, operation, input))
    }

    fn go_back(&mut self, pipeline: &str, target: ExecutionId) -> Soon {
        let input = json!({"pipelineName": pipeline, "stageName": PROD, "targetPipelineExecutionId": target});
        let mut soon = now(ask(Asked::Other, "RollbackStage", input.clone()));
        if self.chance.permille(200) {
            soon.extend(now(ask(Asked::Other, "RollbackStage", input)));
        }
        soon
    }

    /// An execution to go back to: mostly one that succeeded, not seldom one that was rolled back from.
    fn target(&mut self, executions: &[&Execution]) -> Option<ExecutionId> {
        if self.chance.permille(200) {
            return None;
        }
        let outcome = |execution: &Execution| {
            let mut stages = execution.stages.iter();
            let found = stages.find(|(name, of)| name.as_str() == PROD && of.status == StageStatus::Succeeded);
            found.map(|(_, of)| of.revoked_by.is_some())
        };
        let of = |revoked: bool| -> Vec<ExecutionId> {
            let all = executions.iter().filter(|execution| outcome(execution) == Some(revoked));
            all.map(|execution| execution.id).collect()
        };
        let (good, revoked) = (of(false), of(true));
        let chosen = if self.chance.permille(250) && !revoked.is_empty() { revoked } else { good };
        (!chosen.is_empty()).then(|| *self.chance.one_of(&chosen))
    }

    /// Deletes a pipeline, and maybe makes it anew soon.
    fn delete(&mut self, pipeline: &str) -> Soon {
        if !self.chance.permille(DELETIONS) {
            return self.upload(pipeline);
        }
        self.deleted.insert(json!(pipeline).to_string());
        let mut soon = now(until_done("DeletePipeline", json!({"name": pipeline})));
        if self.chance.permille(400) {
            let delay = SignedDuration::from_secs(self.chance.between(1, 90));
            soon.extend(self.create(pipeline).into_iter().map(|(_, create)| (delay, create)));
        }
        soon
    }

    fn create(&mut self, pipeline: &str) -> Soon {
        let declaration = self.declarations.get(pipeline).cloned().unwrap_or_default();
        now(ask(Asked::Other, "CreatePipeline", json!({"pipeline": declaration})))
    }

    fn upload(&mut self, pipeline: &str) -> Soon {
        let (key, version) = self.release(pipeline);
        self.tell_upload(&key, &version)
    }

    /// The same content as one of the last uploads, as another version, maybe of another pipeline.
    fn upload_again(&mut self, pipeline: &str) -> Soon {
        let (key, version) = self.release_again(pipeline);
        self.tell_upload(&key, &version)
    }

    fn tell_upload(&self, key: &str, version: &str) -> Soon {
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
        let Some(declaration) = self.declarations.get_mut(pipeline) else { return Value::Null };
        let Some(stages) = declaration["stages"].as_array_mut() else { return Value::Null };
        let place = self.chance.below(stages.len());
        let actions = stages[place]["actions"].as_array_mut();
        if let Some(last) = actions.and_then(|actions| actions.last_mut())
            && last["actionTypeId"]["provider"] == "Lambda"
        {
            last["configuration"]["UserParameters"] = edit.into();
        }
        declaration.clone()
    }

    fn in_another_mode(&mut self, pipeline: &str) -> Value {
        let mode = *self.chance.one_of(&["QUEUED", "SUPERSEDED", "PARALLEL"]);
        let Some(declaration) = self.declarations.get_mut(pipeline) else { return Value::Null };
        pipelines::set_mode(declaration, mode);
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

fn now(later: Later) -> Soon {
    vec![(SignedDuration::ZERO, later)]
}
