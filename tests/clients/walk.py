"""A pipeline's whole life by boto3 as it is, asserting on what the client makes of every answer. Run by run.sh.

Needs AWS_ENDPOINT_URL of a fresh local process, which serves CodePipeline and S3.
"""

import datetime
import io
import json
import os
import pathlib
import time
import urllib.request
import zipfile

import boto3

LOOKS_MAX = 200
LOOK_EVERY_S = 0.2
UNKNOWN = "00000000-0000-4000-8000-000000000000"
HERE = pathlib.Path(__file__).parent
PIPELINE = json.loads((HERE / "pipelines/walk.json").read_text())
PROBE = {"category": "Test", "owner": "Custom", "provider": "Probe", "version": "1"}
ARN = "arn:aws:codepipeline:us-east-1:000000000000:walk"

client = boto3.client("codepipeline", region_name="us-east-1")
s3 = boto3.client("s3", region_name="us-east-1")


def step(what):
    print(f"   {what}", flush=True)


def until(what, look):
    """Looks a bounded number of times for something that is true."""
    for _ in range(LOOKS_MAX):
        seen = look()
        if seen:
            return seen
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(f"no sign of {what}")


def refused(exception, operation, **arguments):
    """The call must raise the client's own type of that name."""
    try:
        answer = getattr(client, operation)(**arguments)
    except getattr(client.exceptions, exception) as error:
        assert error.response["Error"]["Code"] == exception, error
        assert error.response["Error"]["Message"], error
        assert error.response["ResponseMetadata"]["RequestId"], error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{operation}: {exception} expected, not {answer}")


def upload(text):
    """A release whose page says `text`; returns its version."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.html", text)
    return s3.put_object(Bucket="walk-releases", Key="walk.zip", Body=archive.getvalue())["VersionId"]


def page():
    return s3.get_object(Bucket="walk-site", Key="index.html")["Body"].read().decode()


def executions():
    return client.list_pipeline_executions(pipelineName="walk")["pipelineExecutionSummaries"]


def started_by(version):
    def look():
        for one in executions():
            revisions = [revision["revisionId"] for revision in one.get("sourceRevisions", [])]
            if revisions == [version] and one["executionType"] == "STANDARD":
                return one["pipelineExecutionId"]
        return None

    return until(f"the execution of {version}", look)


def execution(execution_id):
    return client.get_pipeline_execution(pipelineName="walk", pipelineExecutionId=execution_id)["pipelineExecution"]


def ended(execution_id, status):
    until(f"the end of {execution_id}", lambda: execution(execution_id)["status"] not in ("InProgress", "Stopping"))
    found = execution(execution_id)
    assert found["status"] == status, found
    return found


def stage(name):
    return next(one for one in client.get_pipeline_state(name="walk")["stageStates"] if one["stageName"] == name)


def take_job(execution_id):
    """Polls until the worker gets the job of that execution, and takes it."""
    [job] = until(f"a job of {execution_id}", lambda: client.poll_for_jobs(actionTypeId=PROBE, maxBatchSize=1)["jobs"])
    data = job["data"]
    assert data["pipelineContext"]["pipelineExecutionId"] == execution_id, job
    assert data["pipelineContext"]["pipelineArn"] == ARN and data["pipelineContext"]["action"]["name"] == "Probe", job
    assert data["actionConfiguration"]["configuration"] == {"Page": "index.html", "Secret": "hush"}, job
    assert data["inputArtifacts"][0]["location"]["s3Location"]["bucketName"] == "walk-artifacts", job
    refused("InvalidNonceException", "acknowledge_job", jobId=job["id"], nonce="another")
    assert client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    return job


def succeed(execution_id):
    job = take_job(execution_id)
    client.put_job_success_result(jobId=job["id"], executionDetails={"summary": "Reads well", "percentComplete": 100})
    return job


def token(execution_id):
    def look():
        asked = stage("Accept")
        if asked.get("latestExecution", {}).get("pipelineExecutionId") != execution_id:
            return None
        latest = asked["actionStates"][0].get("latestExecution", {})
        return latest.get("token") if latest.get("status") == "InProgress" else None

    return until("the question", look)


def answer(execution_id, status):
    asked = {"pipelineName": "walk", "stageName": "Accept", "actionName": "Ask"}
    result = {"summary": "Read", "status": status}
    mine = token(execution_id)
    refused("InvalidApprovalTokenException", "put_approval_result", **asked, token=UNKNOWN, result=result)
    answered = client.put_approval_result(**asked, token=mine, result=result)
    assert isinstance(answered["approvedAt"], datetime.datetime) or status == "Rejected", answered
    refused("ApprovalAlreadyCompletedException", "put_approval_result", **asked, token=mine, result=result)


def create():
    step("a custom action type")
    details = {"minimumCount": 0, "maximumCount": 5}
    properties = [
        {"name": "Page", "required": True, "key": True, "secret": False, "queryable": False, "type": "String"},
        {"name": "Secret", "required": False, "key": False, "secret": True, "queryable": False},
    ]
    definition = {"category": "Test", "provider": "Probe", "version": "1", "configurationProperties": properties,
                  "inputArtifactDetails": details, "outputArtifactDetails": details}
    created = client.create_custom_action_type(**definition, tags=[{"key": "of", "value": "walk"}])
    assert created["actionType"]["id"] == PROBE and created["tags"] == [{"key": "of", "value": "walk"}], created
    step("buckets, a release, a pipeline")
    for name in ("releases", "artifacts", "site"):
        s3.create_bucket(Bucket=f"walk-{name}")
    s3.put_bucket_versioning(Bucket="walk-releases", VersioningConfiguration={"Status": "Enabled"})
    upload("Release 1")
    refused("PipelineNotFoundException", "get_pipeline", name="walk")
    created = client.create_pipeline(pipeline=PIPELINE, tags=[{"key": "team", "value": "shop"}])
    assert created["pipeline"]["version"] == 1 and created["tags"] == [{"key": "team", "value": "shop"}], created
    assert created["pipeline"]["stages"][0]["actions"][0]["runOrder"] == 1, created
    refused("PipelineNameInUseException", "create_pipeline", pipeline=PIPELINE)
    short = {**PIPELINE, "name": "short", "stages": PIPELINE["stages"][:1]}
    refused("InvalidStructureException", "create_pipeline", pipeline=short)
    found = client.get_pipeline(name="walk")
    assert found["metadata"]["pipelineArn"] == ARN, found
    assert isinstance(found["metadata"]["created"], datetime.datetime), found
    assert found["pipeline"]["stages"][1]["actions"][1]["configuration"]["Secret"] == "****", found


def first_release():
    step("release 1: its worker, its approval")
    [only] = executions()
    first = only["pipelineExecutionId"]
    assert only["trigger"]["triggerType"] == "CreatePipeline" and isinstance(only["startTime"], datetime.datetime), only
    job = succeed(first)
    refused("InvalidJobStateException", "put_job_success_result", jobId=job["id"])
    refused("JobNotFoundException", "get_job_details", jobId=UNKNOWN)
    answer(first, "Approved")
    found = ended(first, "Succeeded")
    assert found["executionMode"] == "QUEUED" and found["pipelineVersion"] == 1, found
    assert found["artifactRevisions"][0]["name"] == "Site", found
    assert page() == "Release 1"
    return first


def bad_release(first):
    step("release 2 fails its probe: back to release 1 by itself")
    failed = started_by(upload("Release 2"))
    job = take_job(failed)
    assert client.get_job_details(jobId=job["id"])["jobDetails"]["id"] == job["id"]
    assert page() == "Release 2"
    client.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": "Reads badly"})
    rollback = until("the rollback", lambda: next((one for one in executions() if one["executionType"] == "ROLLBACK"), None))
    assert rollback["trigger"]["triggerType"] == "AutomatedRollback", rollback
    assert json.loads(rollback["trigger"]["triggerDetail"])["FailedPipelineExecutionId"] == failed, rollback
    succeed(rollback["pipelineExecutionId"])
    found = ended(rollback["pipelineExecutionId"], "Succeeded")
    assert found["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": first}, found
    ended(failed, "Failed")
    assert page() == "Release 1"
    assert stage("Deploy")["latestExecution"]["type"] == "ROLLBACK"
    return failed


def rejected_release():
    step("release 3 is rejected; its stage is retried")
    third = started_by(upload("Release 3"))
    succeed(third)
    answer(third, "Rejected")
    ended(third, "Failed")
    retry = {"pipelineName": "walk", "stageName": "Accept", "pipelineExecutionId": third, "retryMode": "FAILED_ACTIONS"}
    assert client.retry_stage_execution(**retry)["pipelineExecutionId"] == third
    answer(third, "Approved")
    ended(third, "Succeeded")
    refused("StageNotRetryableException", "retry_stage_execution", **retry)
    refused("StageNotFoundException", "retry_stage_execution", **{**retry, "stageName": "Nowhere"})


def rollback_by_hand(first, failed):
    step("a rollback by hand")
    to = {"pipelineName": "walk", "stageName": "Deploy"}
    refused("PipelineExecutionNotFoundException", "rollback_stage", **to, targetPipelineExecutionId=UNKNOWN)
    refused("UnableToRollbackStageException", "rollback_stage", **to, targetPipelineExecutionId=failed)
    source = {**to, "stageName": "Source"}
    refused("UnableToRollbackStageException", "rollback_stage", **source, targetPipelineExecutionId=first)
    rollback = client.rollback_stage(**to, targetPipelineExecutionId=first)["pipelineExecutionId"]
    succeed(rollback)
    found = ended(rollback, "Succeeded")
    assert found["trigger"]["triggerType"] == "ManualRollback" and found["executionType"] == "ROLLBACK", found
    assert page() == "Release 1"
    into = {**to, "transitionType": "Inbound"}
    client.enable_stage_transition(**into)
    client.disable_stage_transition(**into, reason="Sale until Monday")
    closed = stage("Deploy")["inboundTransitionState"]
    assert closed["enabled"] is False and closed["disabledReason"] == "Sale until Monday", closed
    assert isinstance(closed["lastChangedAt"], datetime.datetime), closed
    client.enable_stage_transition(**into)


def stop():
    step("a start, stopped in two ways")
    begun = {"name": "walk", "clientRequestToken": "walk-1"}
    fourth = client.start_pipeline_execution(**begun)["pipelineExecutionId"]
    assert client.start_pipeline_execution(**begun)["pipelineExecutionId"] == fourth
    job = take_job(fourth)
    halt = {"pipelineName": "walk", "pipelineExecutionId": fourth}
    assert client.stop_pipeline_execution(**halt, reason="Not today")["pipelineExecutionId"] == fourth
    until("it stopping", lambda: execution(fourth)["status"] == "Stopping")
    refused("DuplicatedStopRequestException", "stop_pipeline_execution", **halt)
    client.stop_pipeline_execution(**halt, abandon=True, reason="Not at all")
    ended(fourth, "Stopped")
    refused("PipelineExecutionNotStoppableException", "stop_pipeline_execution", **halt)
    refused("InvalidJobStateException", "put_job_success_result", jobId=job["id"])
    summary = next(one for one in executions() if one["pipelineExecutionId"] == fourth)
    assert summary["stopTrigger"]["reason"] == "Not at all", summary
    step("an execution stopped politely ends when its job does")
    fifth = client.start_pipeline_execution(name="walk")["pipelineExecutionId"]
    job = take_job(fifth)
    client.stop_pipeline_execution(pipelineName="walk", pipelineExecutionId=fifth)
    client.put_job_success_result(jobId=job["id"])
    ended(fifth, "Stopped")


def tags():
    step("tags")
    client.tag_resource(resourceArn=ARN, tags=[{"key": "stage", "value": "prod"}, {"key": "team", "value": "site"}])
    pages = client.get_paginator("list_tags_for_resource").paginate(resourceArn=ARN, PaginationConfig={"PageSize": 1})
    found = sorted((tag["key"], tag["value"]) for page in pages for tag in page["tags"])
    assert found == [("stage", "prod"), ("team", "site")], found
    client.untag_resource(resourceArn=ARN, tagKeys=["stage"])
    assert client.list_tags_for_resource(resourceArn=ARN)["tags"] == [{"key": "team", "value": "site"}]
    refused("ResourceNotFoundException", "list_tags_for_resource", resourceArn=ARN + "-none")
    refused("ValidationException", "list_tags_for_resource", resourceArn="arn:aws:s3:us-east-1:000000000000:walk")
    system = [{"key": "aws:team", "value": "x"}]
    refused("InvalidTagsException", "tag_resource", resourceArn=ARN, tags=system)


def webhook():
    step("a webhook that starts the pipeline")
    hook = {
        "name": "walk-hook", "targetPipeline": "walk", "targetAction": "Upload",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}],
        "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {},
    }
    made = client.put_webhook(webhook=hook, tags=[{"key": "team", "value": "shop"}])["webhook"]
    assert made["definition"]["name"] == "walk-hook" and made["arn"].endswith(":webhook:walk-hook"), made
    refused("PipelineNotFoundException", "put_webhook", webhook={**hook, "targetPipeline": "none"})
    wrong = {**hook, "filters": [{"jsonPath": "no path", "matchEquals": "x"}]}
    refused("InvalidWebhookFilterPatternException", "put_webhook", webhook=wrong)
    secret = {**hook, "name": "walk-secret", "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "hush"}}
    client.put_webhook(webhook=secret)
    pages = client.get_paginator("list_webhooks").paginate(PaginationConfig={"PageSize": 1})
    listed = [one for page in pages for one in page["webhooks"]]
    assert sorted(one["definition"]["name"] for one in listed) == ["walk-hook", "walk-secret"], listed
    assert "hush" not in str(listed), listed
    before = len(executions())
    post(made["url"], {"ref": "refs/heads/main"})
    until("the webhook's execution", lambda: len(executions()) > before)
    [newest, *_] = executions()
    assert newest["trigger"]["triggerType"] == "Webhook" and newest["trigger"]["triggerDetail"] == made["arn"], newest
    client.stop_pipeline_execution(pipelineName="walk", pipelineExecutionId=newest["pipelineExecutionId"], abandon=True)
    ended(newest["pipelineExecutionId"], "Stopped")
    refused("WebhookNotFoundException", "register_webhook_with_third_party", webhookName="none")
    for name in ("walk-hook", "walk-secret", "walk-hook"):
        client.delete_webhook(name=name)
    assert client.list_webhooks()["webhooks"] == []


def post(url, event):
    body = json.dumps(event).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200, response.status


def paginators(first):
    step("every paginator, a line a page")

    def all_of(operation, member, page_size=1, **arguments):
        config = {"PageSize": page_size} if page_size else {}
        pages = list(client.get_paginator(operation).paginate(**arguments, PaginationConfig=config))
        lines = [line for page in pages for line in page[member]]
        assert page_size is None or all(len(page[member]) <= page_size for page in pages), pages
        return lines

    everything = all_of("list_pipeline_executions", "pipelineExecutionSummaries", pipelineName="walk")
    assert [one["pipelineExecutionId"] for one in everything] == [one["pipelineExecutionId"] for one in executions()]
    actions = all_of("list_action_executions", "actionExecutionDetails", pipelineName="walk",
                     filter={"pipelineExecutionId": first})
    assert [one["actionName"] for one in actions] == ["Ask", "Probe", "Publish", "Upload"], actions
    publish = next(one["actionExecutionId"] for one in actions if one["actionName"] == "Publish")
    targets = all_of("list_deploy_action_execution_targets", "targets", pipelineName="walk", actionExecutionId=publish)
    assert all(target["status"] for target in targets), targets
    assert [one["name"] for one in all_of("list_pipelines", "pipelines")] == ["walk"]
    types = all_of("list_action_types", "actionTypes", page_size=None, actionOwnerFilter="Custom")
    assert [one["id"] for one in types] == [PROBE], types
    assert all_of("list_rule_executions", "ruleExecutionDetails", pipelineName="walk") == []
    refused("InvalidNextTokenException", "list_pipelines", nextToken="made up")
    refused("InvalidNextTokenException", "list_pipeline_executions", pipelineName="walk", nextToken="made up")


def change_and_delete():
    step("a new version, the old one, and the end")
    changed = json.loads(json.dumps(PIPELINE))
    changed["stages"][2]["actions"][0]["configuration"]["CustomData"] = "Well?"
    assert client.update_pipeline(pipeline=changed)["pipeline"]["version"] == 2
    assert client.get_pipeline(name="walk")["pipeline"]["version"] == 2
    old = client.get_pipeline(name="walk", version=1)["pipeline"]
    assert old["stages"][2]["actions"][0]["configuration"]["CustomData"] == "Does the site read well?", old
    refused("PipelineVersionNotFoundException", "get_pipeline", name="walk", version=3)
    client.delete_pipeline(name="walk")
    client.delete_pipeline(name="walk")
    refused("PipelineNotFoundException", "get_pipeline_state", name="walk")
    refused("PipelineNotFoundException", "start_pipeline_execution", name="walk")
    client.delete_custom_action_type(category="Test", provider="Probe", version="1")
    refused("ActionTypeNotFoundException", "poll_for_jobs", actionTypeId=PROBE)
    assert client.list_pipelines()["pipelines"] == []


def main():
    create()
    first = first_release()
    failed = bad_release(first)
    rejected_release()
    rollback_by_hand(first, failed)
    stop()
    tags()
    webhook()
    paginators(first)
    change_and_delete()
    print(f"   boto3 {boto3.__version__}: as told, against {os.environ['AWS_ENDPOINT_URL']}")


main()
