//! One row of each kind, every member filled in.

#![expect(clippy::unwrap_used, reason = "samples are well formed, or the suite fails at once")]

use domain::{
    ActionExecutionId, ActionRun, ActionTypeId, ConditionRun, CustomType, Effect, Execution, ExecutionId, Generation,
    Incident, Job, JobQueue, Kept, OpenHold, PipelineIndex, PipelineName, Record, RevokedContent, RollbackDecision,
    RuleRun, Slot, StageName, StageState, Success, TaggedResource, Tokens, Waiting, Watch, Webhook,
};
use engine::ports::{
    Definition, OpenExecution, PendingEffect, PipelineSummary, QueuedJob, ResourceTags, SourceBinding, StartMarker,
};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const ALARM: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors #1";

pub(crate) fn shop() -> PipelineName {
    "shop".parse().unwrap()
}

pub(crate) fn deploy() -> StageName {
    "Deploy".parse().unwrap()
}

/// The `n`th execution by start time.
pub(crate) fn execution_id(n: u64) -> ExecutionId {
    ExecutionId(Uuid::from_u128((u128::from(n) << 80) | 0x7000_8000_0000_0000_0000))
}

pub(crate) fn run_id(n: u64) -> ActionExecutionId {
    ActionExecutionId(Uuid::from_u128(n.into()))
}

/// The `second`th second of the tests' time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn from<T: DeserializeOwned>(document: Value) -> T {
    serde_json::from_value(document).unwrap()
}

pub(crate) fn kept(pipeline: &str, due: i64) -> Kept {
    from(json!({
        "pipeline": pipeline, "stage": "Deploy", "checkedAt": at(1), "due": at(due),
        "targets": [{"execution": execution_id(1), "artifacts": [{
            "name": "App", "at": {"bucket": "artifacts", "key": "app"}, "state": "GONE", "since": at(0),
            "digest": {"algorithm": "SHA256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="},
        }]}],
        "lettingGo": [{"bucket": "artifacts", "key": "old"}],
    }))
}

pub(crate) fn pipeline() -> PipelineIndex {
    from(json!({
        "name": "shop", "pipelineVersion": 3, "definitionKey": "definitions/shop/3", "definitionDigest": "ab",
        "mode": "SUPERSEDED", "pipelineType": "V2", "createdAt": at(0), "updatedAt": at(1),
        "stages": [{
            "name": "Deploy", "fingerprint": "f", "hasEntryCondition": true,
            "watches": [{"rule": "errors", "alarm": "errors", "minutes": 10}],
            "actions": [{
                "name": "Copy", "runOrder": 1, "kind": kind(), "timeoutSeconds": 60, "heartbeatSeconds": 60,
                "inputs": ["App"], "actionType": action_type(),
            }],
        }],
    }))
}

/// How a native action spells its kind.
fn kind() -> Value {
    serde_json::to_value(domain::ActionKind::Native).unwrap()
}

fn action_type() -> Value {
    json!({"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"})
}

pub(crate) fn definition(version: u32) -> Definition {
    from(json!({
        "pipeline": "shop", "pipelineVersion": version, "key": "definitions/shop/2", "digest": "00",
        "createdAt": at(0), "stages": pipeline().stages,
    }))
}

pub(crate) fn summary(name: &str) -> PipelineSummary {
    from(json!({
        "name": name, "pipelineVersion": 3, "pipelineType": "V2", "mode": "SUPERSEDED",
        "createdAt": at(0), "updatedAt": at(1),
    }))
}

pub(crate) fn stage() -> StageState {
    let mut stage = StageState::new(shop(), deploy());
    stage.generation = Generation(4);
    stage.occupant = Some(from(json!({
        "execution": execution_id(1), "executionType": "STANDARD", "enteredAt": at(2),
        "alarms": {"errors": {"arn": ALARM, "state": "OK"}},
    })));
    stage
}

pub(crate) fn waiting(stage: &str, arrival: u64) -> Waiting {
    Waiting {
        pipeline: shop(),
        stage: stage.parse().unwrap(),
        arrival,
        execution: execution_id(arrival),
        token: Tokens::of(format!("token {arrival}")),
        since: at(3),
    }
}

pub(crate) fn execution(n: u64) -> Execution {
    from(json!({
        "id": execution_id(n), "pipeline": "shop", "pipelineVersion": 3, "executionType": "ROLLBACK",
        "mode": "SUPERSEDED", "trigger": {"triggerType": "AutomatedRollback", "triggerDetail": "{}"},
        "startedAt": at(n.cast_signed()),
        "updatedAt": at(n.cast_signed()) + SignedDuration::from_nanos(123_456_789),
        "phase": {"name": "Failed", "stage": "Deploy"}, "statusSummary": "", "attempt": 1,
        "variables": {"colour": "red"}, "pins": {"Fetch": {"versionId": "v"}},
        "revisions": [{"actionName": "Fetch", "artifactName": "App", "revisionId": "v", "created": at(0)}],
        "outputs": {"space": {"name": ""}}, "artifacts": {"App": {"bucket": "b", "key": "k"}},
        "stages": {"Deploy": {"status": "Succeeded", "fingerprint": "f", "enteredAt": at(1), "leftAt": at(2)}},
        "rollback": {
            "stage": "Deploy", "target": execution_id(0), "undone": execution_id(1),
            "cause": domain::RollbackCause::Alarm { alarm_arn: ALARM.into(), reason: "red".into() },
        },
    }))
}

pub(crate) fn open_execution(n: u64) -> OpenExecution {
    OpenExecution {
        pipeline: shop(),
        execution: execution_id(n),
        machine_name: format!("machine-{n}"),
        started_at: at(n.cast_signed()),
    }
}

pub(crate) fn success(n: u64) -> Success {
    Success {
        pipeline: shop(),
        stage: deploy(),
        execution: execution_id(n),
        at: at(n.cast_signed()),
        fingerprint: "f".into(),
        pipeline_version: 3,
        revoked_by: Some(execution_id(99)),
        revoked_after: Some(at(1)),
        version: 0,
    }
}

pub(crate) fn watch(rule: &str, until: i64) -> Watch {
    from(json!({
        "alarmArn": ALARM, "pipeline": "shop", "stage": "Deploy", "execution": execution_id(1), "rule": rule,
        "from": at(0), "until": at(until), "stateAtEntry": "INSUFFICIENT_DATA", "generation": 4,
    }))
}

pub(crate) fn revoked(content: &str) -> RevokedContent {
    from(json!({
        "content": content, "pipeline": "shop", "stage": "Deploy", "rollback": execution_id(2),
        "undone": execution_id(1), "cause": {"cause": "StageFailed"}, "since": at(7), "revisions": [{
            "actionName": "Upload", "artifactName": "App", "revisionId": "v1", "revisionChangeIdentifier": "e1",
        }],
    }))
}

pub(crate) fn incident() -> Incident {
    from(json!({
        "alarmArn": ALARM, "onset": at(5), "redSince": at(6), "status": "RollingBack", "quietUntil": at(90),
        "changedAt": at(7), "rollbacks": [{
            "pipeline": "shop", "stage": "Deploy", "rollback": execution_id(2), "undone": execution_id(1), "at": at(7),
        }],
    }))
}

pub(crate) fn run(execution: u64, n: u64) -> ActionRun {
    from(json!({
        "id": run_id(n), "pipeline": "shop", "execution": execution_id(execution), "pipelineVersion": 3,
        "stage": "Deploy", "action": format!("Action-{n}"), "actionType": action_type(), "generation": 4,
        "status": "Succeeded", "startedAt": at(n.cast_signed()), "updatedAt": at(9), "roleArn": "role",
        "configuration": {"Extract": "true", "Empty": ""}, "resolvedConfiguration": {"Extract": "true"},
        "inputs": {"App": {"bucket": "b", "key": "k"}}, "namespace": "space", "outputVariables": {"a": "b"},
        "externalId": "x", "approvalToken": "t", "updatedBy": "ana",
    }))
}

pub(crate) fn job() -> Job {
    from(json!({
        "id": Uuid::from_u128(7), "run": run_id(1), "pipeline": "shop", "execution": execution_id(1),
        "stage": "Deploy", "action": "Check", "generation": 4, "token": "token", "function": "smoke",
        "continuation": "", "status": "InProgress", "createdAt": at(5),
        "script": {
            "commands": ["make"], "primary": "App", "environment": [{"name": "A", "value": "", "type": "PLAINTEXT"}],
            "exports": ["Tag"], "files": ["**/*"],
        },
        "rule": {
            "kind": "BeforeEntry", "attempt": 1, "roleArn": "role", "configuration": {"FunctionName": "smoke", "Empty": ""},
            "region": "eu-west-1", "inputs": {"App": {"bucket": "artifacts", "key": "a"}}, "askedAt": at(4), "externalId": "b", "externalUrl": "https://",
            "answer": {"errorCode": "PermissionError", "text": "why"},
        },
    }))
}

/// The `n`th job of a queue.
pub(crate) fn queued_job(n: u64, value: Option<&str>) -> QueuedJob {
    QueuedJob {
        queue: JobQueue { action_type: custom_id("1"), value: value.map(Into::into) },
        job: Uuid::from_u128(n.into()),
        created_at: at(n.cast_signed()),
        held_until: Some(at(30)),
    }
}

pub(crate) fn custom_id(version: &str) -> ActionTypeId {
    from(json!({"category": "Build", "owner": "Custom", "provider": "Make", "version": version}))
}

pub(crate) fn custom_type(version: &str) -> CustomType {
    from(json!({
        "info": {
            "id": custom_id(version), "kind": "Job", "inputs": {"start": 0, "end": 1}, "outputs": {"start": 0, "end": 5},
            "properties": [{
                "name": "Project", "required": true, "key": true, "secret": false, "queryable": true, "type": "String",
            }],
            "urls": {"entityUrlTemplate": "https://x/{Config:Project}"}, "timeoutS": 86400,
        },
        "createdAt": at(0), "deletedAt": at(1),
    }))
}

pub(crate) fn condition(n: u64, mode: &str) -> ConditionRun {
    from(json!({
        "pipeline": "shop", "stage": "Deploy", "kind": "BeforeEntry", "execution": execution_id(n), "mode": mode,
        "generation": 4, "attempt": 1, "result": "FAIL", "status": "InProgress", "summary": "red", "startedAt": at(1),
        "changedAt": at(2), "token": "token", "alarms": [ALARM], "closedUntil": at(9), "openedAt": at(1),
        "rules": [rule_state(n)],
    }))
}

fn rule_state(n: u64) -> Value {
    json!({
        "name": "errors", "id": Uuid::from_u128(n.into()), "status": "InProgress", "changedAt": at(2),
        "summary": "red", "errorCode": "ConfigurationError", "entityUrl": "https://", "alarm": ALARM, "updatedBy": "ana",
        "waitsUntil": at(9), "job": Uuid::from_u128(8), "asked": 2, "machine": "CodeBuild",
        "externalId": "b", "externalUrl": "https://",
    })
}

pub(crate) fn rule_run(execution: u64, n: u64) -> RuleRun {
    let mut run = json!({
        "pipeline": "shop", "execution": execution_id(execution), "pipelineVersion": 3, "stage": "Deploy",
        "kind": "OnSuccess", "ruleType": {"category": "Rule", "provider": "CloudWatchAlarm"},
        "startedAt": at(n.cast_signed()), "roleArn": "role", "region": "eu-west-1",
        "configuration": {"AlarmName": "errors", "Empty": ""}, "resolvedConfiguration": {"AlarmName": "errors"},
        "inputs": {"App": {"bucket": "artifacts", "key": "a"}},
    });
    run.as_object_mut().unwrap().extend(rule_state(n).as_object().unwrap().clone());
    from(run)
}

/// A record with evidence.
pub(crate) fn record(execution: u64, event: &str, second: i64) -> Record {
    from(json!({
        "execution": execution_id(execution), "at": at(second), "event": event, "stage": "Deploy", "detail": "why",
        "evidence": {
            "verdict": "Degraded", "reason": "red", "execution": execution_id(1), "stateAtEntry": "OK",
            "alarm": {"arn": ALARM, "state": "ALARM", "since": at(4), "reason": "why"},
            "from": at(0), "until": at(9),
        },
    }))
}

pub(crate) fn hold(pipeline: &str, stage: &str) -> OpenHold {
    from(json!({
        "pipeline": pipeline, "stage": stage,
        "hold": {
            "rollback": execution_id(2), "target": execution_id(0), "since": at(1),
            "cause": domain::RollbackCause::by("ana"),
        },
    }))
}

/// A rollback that undoes execution `undone`.
pub(crate) fn decision(undone: u64, second: i64) -> RollbackDecision {
    from(json!({
        "pipeline": "shop", "stage": "Deploy", "at": at(second), "execution": execution_id(undone),
        "undone": execution_id(undone),
        "cause": domain::RollbackCause::Alarm { alarm_arn: ALARM.into(), reason: "red".into() },
        "outcome": domain::RollbackOutcome::Started { rollback: execution_id(99), target: execution_id(0) },
        "evidence": record(undone, "AlarmJudged", second).evidence,
    }))
}

pub(crate) fn effect(second: i64) -> PendingEffect {
    let name = format!("machine-{second}");
    let effect = Effect::StartMachine { pipeline: shop(), execution: execution_id(1), name };
    PendingEffect { since: at(second), effect }
}

pub(crate) fn source(key: &str) -> SourceBinding {
    SourceBinding { bucket: "uploads".into(), key: key.into(), pipeline: shop(), action: "Fetch".parse().unwrap() }
}

pub(crate) fn marker(cause: &str) -> StartMarker {
    StartMarker {
        pipeline: shop(),
        cause: cause.into(),
        execution: execution_id(1),
        expires_at: 1_800_000_000,
        sequencer: Some("0055".into()),
        version: 0,
    }
}

pub(crate) fn webhook(name: &str) -> Webhook {
    from(json!({
        "definition": {
            "name": name, "targetPipeline": "shop", "targetAction": "Fetch",
            "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}, {"jsonPath": "$.head_commit"}],
            "authentication": "GITHUB_HMAC",
            "authenticationConfiguration": {"SecretToken": "secret", "AllowedIPRange": "0.0.0.0/0"},
        },
        "urlKey": "0123", "lastTriggered": at(3), "problem": {"status": 403, "message": "unsigned"},
    }))
}

pub(crate) fn tags() -> ResourceTags {
    let tags = [("team", "web"), ("ü #1", "")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    ResourceTags { resource: TaggedResource::pipeline(&shop()), tags, version: 0 }
}

/// Place `number` of the pipeline that was created at the `created`th second, taken by the `n`th execution.
pub(crate) fn slot(created: i64, number: u8, n: u64) -> Slot {
    Slot { pipeline: shop(), pipeline_created_at: at(created), number, execution: execution_id(n), taken_at: at(7) }
}
