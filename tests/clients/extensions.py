#!/usr/bin/env python3
"""Lastgood's own operations by unchanged clients: boto3, and `aws lastgood`, with infra/clients/botocore on AWS_DATA_PATH.

    tests/clients/extensions.py [BINARY]     BINARY is the local process, target/debug/local unless given

Starts the local process on a free port with data of its own, brings a pipeline through two releases and a rollback, and
asks every operation through both clients, which have to say the same. Needs boto3 (requirements.txt); AWS_CLI
names the AWS CLI, `aws` unless given. Ends with 0 only if all was as told.
"""

import copy
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOOKS_MAX = 200
LOOK_EVERY_S = 0.1
SHOWN_MAX = 160
ACTIONS = {
    "Source": ("Source", {"S3Bucket": "releases", "S3ObjectKey": "app.zip"}, "outputArtifacts"),
    "Publish": ("Deploy", {"BucketName": "site", "ObjectKey": "app.zip", "Extract": "false"}, "inputArtifacts"),
}


def action(name):
    category, configuration, artifacts = ACTIONS[name]
    kind = {"category": category, "owner": "AWS", "provider": "S3", "version": "1"}
    return {"name": name, "actionTypeId": kind, "configuration": configuration, artifacts: [{"name": "App"}]}


def pipeline(name):
    return {
        "name": name,
        "roleArn": "arn:aws:iam::000000000000:role/lastgood-pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "pipelineType": "V2",
        "stages": [
            {"name": "Source", "actions": [action("Source")]},
            {"name": "Prod", "actions": [action("Publish")]},
        ],
    }


def until(what, look):
    """Looks until there is something to see, a bounded number of times."""
    for _ in range(LOOKS_MAX):
        seen = look()
        if seen:
            return seen
        time.sleep(LOOK_EVERY_S)
    raise SystemExit(f"NOT SO: {what}: not within {LOOKS_MAX} looks")


def is_so(what, expected, found):
    if expected != found:
        raise SystemExit(f"NOT SO: {what}: expected {expected!r}, found {found!r}")
    print(f"   {what}: {shortened(repr(found))}")


def shortened(text):
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


def plain(answer):
    """An answer of boto3 as the AWS CLI prints it."""
    answer = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return json.loads(json.dumps(answer, default=lambda time: time.timestamp()))


def told(value):
    """An answer of the AWS CLI with its times as boto3 has them."""
    if isinstance(value, dict):
        return {name: told(member) for name, member in value.items()}
    if isinstance(value, list):
        return [told(member) for member in value]
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(value).timestamp()
        except ValueError:
            return value
    return value


class Cli:
    """`aws lastgood`."""

    def __init__(self):
        self.command = shutil.which(os.environ.get("AWS_CLI", "aws")) or sys.exit("the AWS CLI is not there")

    def run(self, *words):
        return subprocess.run([self.command, "lastgood", *words], capture_output=True, text=True, check=False)

    def __call__(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise SystemExit(f"NOT SO: aws lastgood {' '.join(words)}: {done.stderr.strip()}")
        return told(json.loads(done.stdout))

    def refused(self, error, *words):
        done = self.run(*words)
        is_so(f"aws lastgood {words[0]} is refused", True, f"({error})" in done.stderr)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(port):
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CLI"]:
        del os.environ[name]
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        # The one step by which botocore's clients come to know the service.
        AWS_DATA_PATH=str(ROOT / "infra/clients/botocore"),
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="any",
        AWS_SECRET_ACCESS_KEY="any",
        AWS_CONFIG_FILE="/dev/null",
        AWS_SHARED_CREDENTIALS_FILE="/dev/null",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_PAGER="",
    )


def release(boto3, body):
    """Uploads a release and waits for the execution that it starts."""
    codepipeline, s3 = boto3.client("codepipeline"), boto3.client("s3")
    before = len(executions(codepipeline))
    s3.put_object(Bucket="releases", Key="app.zip", Body=body)
    until("an upload starts an execution", lambda: len(executions(codepipeline)) > before)
    newest = executions(codepipeline)[0]["pipelineExecutionId"]
    until_succeeded(codepipeline, newest)
    return newest


def executions(codepipeline):
    return codepipeline.list_pipeline_executions(pipelineName="shop")["pipelineExecutionSummaries"]


def until_succeeded(codepipeline, execution):
    def status():
        found = codepipeline.get_pipeline_execution(pipelineName="shop", pipelineExecutionId=execution)
        return found["pipelineExecution"]["status"] == "Succeeded"

    until(f"{execution} succeeded", status)


def story(boto3):
    codepipeline, lastgood, cli = boto3.client("codepipeline"), boto3.client("lastgood"), Cli()
    s3 = boto3.client("s3")
    for bucket in ("releases", "artifacts", "site"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="releases", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="releases", Key="app.zip", Body=b"release 1")
    codepipeline.create_pipeline(pipeline=pipeline("shop"))
    first = executions(codepipeline)[0]["pipelineExecutionId"]
    until_succeeded(codepipeline, first)
    second = release(boto3, b"release 2")
    stage = {"pipelineName": "shop", "stageName": "Prod"}
    words = ("--pipeline-name", "shop", "--stage-name", "Prod")

    print("== ListRollbackCandidates, page by page")
    pages = list(lastgood.get_paginator("list_rollback_candidates").paginate(**stage, PaginationConfig={"PageSize": 1}))
    is_so("pages", 2, len(pages))
    candidates = [candidate for page in pages for candidate in page["candidates"]]
    is_so("candidates", [second, first], [candidate["pipelineExecutionId"] for candidate in candidates])
    is_so("the CLI", plain({"candidates": candidates}), cli("list-rollback-candidates", *words, "--page-size", "1"))

    print("== PreviewRollback")
    preview = lastgood.preview_rollback(**stage, targetPipelineExecutionId=first)
    is_so("eligible", True, preview["eligible"])
    is_so("undoes", second, preview["plan"]["undonePipelineExecutionId"])
    same = cli("preview-rollback", *words, "--target-pipeline-execution-id", first)
    is_so("the CLI", plain(preview), same)
    is_so("the automatic choice", first, lastgood.preview_rollback(**stage)["target"]["pipelineExecutionId"])

    print("== RollbackStage does what was previewed")
    back = codepipeline.rollback_stage(**stage, targetPipelineExecutionId=first)["pipelineExecutionId"]
    until_succeeded(codepipeline, back)
    shown = codepipeline.get_pipeline_execution(pipelineName="shop", pipelineExecutionId=back)["pipelineExecution"]
    is_so("revisions", preview["target"]["artifactRevisions"], shown["artifactRevisions"])
    is_so("deployed", b"release 1", s3.get_object(Bucket="site", Key="app.zip")["Body"].read())

    print("== ListHolds, ReleaseHold")
    holds = lastgood.list_holds(pipelineName="shop")
    is_so("held by", back, holds["holds"][0]["rollbackPipelineExecutionId"])
    is_so("the CLI", plain(holds), cli("list-holds"))
    paged = lastgood.get_paginator("list_holds").paginate().build_full_result()
    is_so("by the paginator", plain(holds), plain(paged))
    released = cli("release-hold", *words, "--comment", "The release was rebuilt.")
    is_so("released", {"hold": plain(holds)["holds"][0]}, released)
    is_so("holds left", [], lastgood.list_holds()["holds"])
    cli.refused("ResourceNotFoundException", "release-hold", *words, "--comment", "Twice.")
    try:
        lastgood.release_hold(**stage, comment="Twice.")
        raise SystemExit("NOT SO: a hold was released twice")
    except lastgood.exceptions.ResourceNotFoundException as refusal:
        print(f"   boto3 knows the error: {refusal}")

    print("== ListRollbackDecisions, page by page")
    pages = list(lastgood.get_paginator("list_rollback_decisions").paginate(**stage, PaginationConfig={"PageSize": 1}))
    decisions = [decision for page in pages for decision in page["decisions"]]
    is_so("decided", ["HoldReleased", "RollbackStarted"], [decision["outcome"] for decision in decisions])
    is_so("the comment", "The release was rebuilt.", decisions[0]["reason"])
    is_so("the CLI", plain({"decisions": decisions}), cli("list-rollback-decisions", *words))
    of_undone = cli("list-rollback-decisions", "--pipeline-name", "shop", "--pipeline-execution-id", second)
    is_so("of what was undone", [back], [one["rollbackPipelineExecutionId"] for one in of_undone["decisions"]])

    print("== StartRollback, with a reason")
    third = release(boto3, b"release 3")
    words_and = (*words, "--target-pipeline-execution-id", first, "--reason", "Prices are wrong.")
    changed = copy.deepcopy(pipeline("shop"))
    changed["stages"][1]["actions"][0]["configuration"]["Extract"] = "true"
    codepipeline.update_pipeline(pipeline=changed)
    cli.refused("PipelineExecutionOutdatedException", "start-rollback", *words_and)
    codepipeline.update_pipeline(pipeline=pipeline("shop"))
    forced = cli("start-rollback", *words_and, "--force")["pipelineExecutionId"]
    until_succeeded(codepipeline, forced)
    decided = cli("list-rollback-decisions", *words)["decisions"][0]
    is_so("the reason", "Prices are wrong.", decided["reason"])
    is_so("undone", third, decided["undonePipelineExecutionId"])
    is_so("forced", True, decided["forced"])

    print("== ListIncidents, ReplayDecision")
    is_so("incidents", {"incidents": []}, cli("list-incidents"))
    is_so("by boto3", [], lastgood.list_incidents()["incidents"])
    asked_again = (*words, "--decision-id", decided["decisionId"])
    cli.refused("ResourceNotFoundException", "replay-decision", *asked_again)

    print("== ListKeptArtifacts")
    kept = until("what is kept is known", lambda: lastgood.list_kept_artifacts(pipelineName="shop")["stages"])
    is_so("stages", ["Prod"], [one["stageName"] for one in kept])
    is_so("ready", True, kept[0]["targets"][0]["ready"])
    is_so("the CLI", plain({"stages": kept}), cli("list-kept-artifacts", "--pipeline-name", "shop"))

    print("== DescribeHealth")
    health = until("nothing is under way", lambda: (found := lastgood.describe_health())["executionsOpen"] == 0 and found)
    is_so("the CLI", plain({**health, "checkedAt": 0}).keys(), cli("describe-health").keys())
    is_so("late", [], [concern for concern in health["concerns"] if concern.endswith("Late")])
    is_so("artifacts lost", 0, health["artifactsLost"])

    print("== GetShadowScorecard")
    scorecard = lastgood.get_shadow_scorecard(**stage, releases=10)
    is_so("releases", 3, scorecard["releases"])
    is_so("the CLI", plain(scorecard), cli("get-shadow-scorecard", *words, "--releases", "10"))
    is_so("missed", 2, scorecard["missed"])

    print("== ListRevokedRevisions, ReinstateRevision")
    revoked = lastgood.list_revoked_revisions()["revokedRevisions"]
    undone = [one["undonePipelineExecutionId"] for one in revoked]
    # What was taken back from before that passes again since the hold was released.
    is_so("undone", [third], undone)
    is_so("the CLI", plain({"revokedRevisions": revoked}), cli("list-revoked-revisions"))
    paged = lastgood.get_paginator("list_revoked_revisions").paginate(PaginationConfig={"PageSize": 1})
    is_so("by the paginator", plain({"revokedRevisions": revoked}), plain(paged.build_full_result()))
    of_third = revoked[undone.index(third)]
    is_so("the person's words", "Prices are wrong.", of_third["reason"])
    words_and = ("--content-id", of_third["contentId"], "--reason", "It was the database.")
    is_so("reinstated", plain({"revokedRevision": of_third}), cli("reinstate-revision", *words_and))
    cli.refused("ResourceNotFoundException", "reinstate-revision", *words_and)
    try:
        lastgood.reinstate_revision(contentId=of_third["contentId"], reason="Twice.")
        raise SystemExit("NOT SO: a revision was reinstated twice")
    except lastgood.exceptions.ResourceNotFoundException as refusal:
        print(f"   boto3 knows the error: {refusal}")
    is_so("the decision", "RevisionReinstated", cli("list-rollback-decisions", *words)["decisions"][0]["outcome"])

    print("== ReportCompatibility")
    report = lastgood.report_compatibility(pipeline=pipeline("blog"))
    is_so("the CLI", plain(report), cli("report-compatibility", "--pipeline", json.dumps(pipeline("blog"))))

    print("== every operation of the model was asked")
    asked = {
        "describe_health", "get_shadow_scorecard", "list_holds", "list_incidents", "list_kept_artifacts", "list_revoked_revisions",
        "list_rollback_candidates", "list_rollback_decisions", "preview_rollback", "reinstate_revision", "release_hold",
        "replay_decision", "report_compatibility", "start_rollback",
    }
    is_so("operations left", set(), set(lastgood.meta.method_to_api_mapping) - asked)


def with_local(tell):
    """Tells a story to a local process of its own, on a free port, and prints what that logged where it goes otherwise."""
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/local").resolve()
    port = free_port()
    environment(port)
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryFile() as log:
        server = subprocess.Popen([binary, "--data", f"{data}/data", "--port", str(port)], stdout=log, stderr=log)
        try:
            until("the local process answers", lambda: answers(port))
            tell()
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def by_both_clients():
    import boto3  # after the environment is as it has to be

    story(boto3)


def main():
    with_local(by_both_clients)
    print("Every operation of our own answers to both clients.")


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
