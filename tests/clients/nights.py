#!/usr/bin/env python3
"""Worked examples of going back: what can be wrong at night, and what one sees and does, by the AWS CLI alone.

    tests/clients/nights.py [BINARY]     BINARY is the local process, target/debug/local unless given

Starts the local process on a free port with data of its own and prints each command with what it showed. Needs botocore's
AWS CLI (requirements.txt); AWS_CLI names it, `aws` unless given. Ends with 0 only if all was as told.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

from extensions import is_so, until, with_local

DEPLOY = {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"}
SOURCE = {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}
APPROVAL = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
RULE = {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"}


class Refused(Exception):
    """What the CLI says of a command that is refused."""


def aws(*words, shown=True):
    """Runs the AWS CLI; its answer as JSON."""
    command = shutil.which(os.environ.get("AWS_CLI", "aws")) or sys.exit("the AWS CLI is not there")
    if shown:
        print(f"   $ aws {shlex.join(word if len(word) < 100 else '...' for word in words)}")
    done = subprocess.run([command, *words, "--output", "json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return json.loads(done.stdout) if done.stdout.strip() else None


def refused(exception, *words):
    try:
        aws(*words)
    except Refused as error:
        print(f"     {error}")
        is_so("is refused by", True, f"({exception})" in str(error))
        return str(error)
    raise SystemExit(f"NOT SO: aws {' '.join(words)} is not refused")


class Pipeline:
    """A pipeline that publishes an object of its own bucket, with what a scene adds to the stage."""

    def __init__(self, name, alarm=None, approval=False):
        self.name, self.releases = name, 0
        for bucket in ("releases", "artifacts", "site"):
            aws("s3api", "create-bucket", "--bucket", f"{name}-{bucket}", shown=False)
        aws("s3api", "put-bucket-versioning", "--bucket", f"{name}-releases", "--versioning-configuration",
            "Status=Enabled", shown=False)
        self.upload()
        self.declared = self.declaration(alarm, approval)
        aws("codepipeline", "create-pipeline", "--pipeline", json.dumps(self.declared))

    def declaration(self, alarm, approval):
        source = {"S3Bucket": f"{self.name}-releases", "S3ObjectKey": "app.zip"}
        publish = {"BucketName": f"{self.name}-site", "ObjectKey": "app.zip", "Extract": "false"}
        artifact = [{"name": "App"}]
        deploy = {"name": "Deploy", "actions": [{"name": "Publish", "actionTypeId": DEPLOY, "runOrder": 1,
                                                 "configuration": publish, "inputArtifacts": artifact}]}
        if approval:
            deploy["actions"].append({"name": "Look", "actionTypeId": APPROVAL, "runOrder": 2})
        if alarm:
            watch = {"AlarmName": alarm, "WaitTime": "10", "Watch": "true"}
            rule = {"name": "Errors", "ruleTypeId": RULE, "configuration": watch}
            deploy["onSuccess"] = {"conditions": [{"result": "ROLLBACK", "rules": [rule]}]}
        fetch = {"name": "Fetch", "actionTypeId": SOURCE, "configuration": source, "outputArtifacts": artifact}
        return {"name": self.name, "roleArn": "arn:aws:iam::000000000000:role/lastgood-pipeline", "pipelineType": "V2",
                "executionMode": "QUEUED", "artifactStore": {"type": "S3", "location": f"{self.name}-artifacts"},
                "stages": [{"name": "Source", "actions": [fetch]}, deploy]}

    def upload(self):
        self.releases += 1
        with tempfile.NamedTemporaryFile("w", suffix=".zip") as file:
            file.write(f"release {self.releases} of {self.name}")
            file.flush()
            aws("s3", "cp", file.name, f"s3://{self.name}-releases/app.zip", "--no-progress", "--only-show-errors",
                shown=False)

    def executions(self):
        listed = aws("codepipeline", "list-pipeline-executions", "--pipeline-name", self.name, shown=False)
        return listed["pipelineExecutionSummaries"]

    def newest(self, count):
        """The newest execution, once there are so many."""
        found = until(f"{count} executions of {self.name}", lambda: len(all_ := self.executions()) >= count and all_)
        return found[0]["pipelineExecutionId"]

    def release(self):
        """Uploads another release; the execution that it starts."""
        count = len(self.executions())
        self.upload()
        return self.newest(count + 1)

    def comes_to(self, execution, status):
        def has_come():
            found = [one for one in self.executions() if one["pipelineExecutionId"] == execution]
            return found and found[0]["status"] == status

        until(f"execution {execution} of {self.name} is {status}", has_come)
        print(f"     execution {execution} of {self.name}: {status}")

    def stage(self):
        return aws("codepipeline", "get-pipeline-state", "--name", self.name, shown=False)["stageStates"][1]

    def approve(self, execution):
        def token():
            stage = self.stage()
            look = stage["actionStates"][1].get("latestExecution", {})
            return stage["latestExecution"]["pipelineExecutionId"] == execution and look.get("token")

        aws("codepipeline", "put-approval-result", "--pipeline-name", self.name, "--stage-name", "Deploy",
            "--action-name", "Look", "--result", "summary=good,status=Approved", "--token",
            until("somebody is asked", token), shown=False)

    def decisions(self, *more):
        return aws("lastgood", "list-rollback-decisions", *self.at(), *more)["decisions"]

    def at(self):
        return "--pipeline-name", self.name, "--stage-name", "Deploy"

    def serves(self, release):
        with tempfile.TemporaryDirectory() as folder:
            aws("s3", "cp", f"s3://{self.name}-site/app.zip", f"{folder}/app", "--no-progress", "--only-show-errors",
                shown=False)
            is_so("the site serves", f"release {release} of {self.name}", (pathlib.Path(folder) / "app").read_text())


def turn(alarm, state):
    aws("cloudwatch", "set-alarm-state", "--alarm-name", alarm, "--state-value", state, "--state-reason", "a night")


def alarm(name):
    aws("cloudwatch", "put-metric-alarm", "--alarm-name", name, "--namespace", "Shop", "--metric-name", name,
        "--statistic", "Sum", "--period", "60", "--evaluation-periods", "1", "--threshold", "5", "--comparison-operator",
        "GreaterThanThreshold", "--treat-missing-data", "ignore", shown=False)
    turn(name, "OK")


def the_pipeline_was_edited():
    print("\n== The pipeline was edited since: what the stage does is what counts")
    edited = Pipeline("edited")
    first = edited.newest(1)
    edited.comes_to(first, "Succeeded")
    second = edited.release()
    edited.comes_to(second, "Succeeded")
    elsewhere = json.loads(json.dumps(edited.declared))
    elsewhere["stages"].append({"name": "After", "actions": [{"name": "Ask", "actionTypeId": APPROVAL}]})
    aws("codepipeline", "update-pipeline", "--pipeline", json.dumps(elsewhere))

    def reasons():
        found = aws("lastgood", "list-rollback-candidates", *edited.at())["candidates"]
        return [one.get("reasons", []) for one in found if one["pipelineExecutionId"] == first][0]

    is_so("against the first release speaks, after an edit elsewhere", [], reasons())
    elsewhere["stages"][1]["actions"][0]["configuration"]["CacheControl"] = "no-store"
    aws("codepipeline", "update-pipeline", "--pipeline", json.dumps(elsewhere))
    is_so("after an edit of the stage, the field is named", True, "CacheControl" in json.dumps(reasons()))
    back = "start-rollback", *edited.at(), "--target-pipeline-execution-id", first, "--reason", "Prices are wrong."
    refused("PipelineExecutionOutdatedException", "lastgood", *back)
    rollback = aws("lastgood", *back, "--force")["pipelineExecutionId"]
    edited.comes_to(rollback, "Succeeded")
    edited.serves(1)
    is_so("forced", True, edited.decisions()[0]["forced"])


def a_deploy_hangs():
    print("\n== A deploy hangs, another waits behind it, and two people go back at once")
    hangs = Pipeline("hangs", approval=True)
    first = hangs.newest(1)
    hangs.approve(first)
    hangs.comes_to(first, "Succeeded")
    second = hangs.release()
    until("the second is inside", lambda: hangs.stage()["latestExecution"]["pipelineExecutionId"] == second)
    third = hangs.release()
    until("the third waits", lambda: "inboundExecution" in hangs.stage())
    back = ("codepipeline", "rollback-stage", *hangs.at(), "--target-pipeline-execution-id", first)

    def go_back(_):
        try:
            return aws(*back)["pipelineExecutionId"]
        except Refused as error:
            print(f"     {error}")
            return None

    with concurrent.futures.ThreadPoolExecutor() as people:
        started = {one for one in people.map(go_back, range(2)) if one}
    is_so("rollbacks of two requests", 1, len(started))
    rollback = started.pop()
    hangs.approve(rollback)
    hangs.comes_to(rollback, "Succeeded")
    hangs.comes_to(second, "Cancelled")
    hangs.serves(1)
    is_so("the third still waits", third, hangs.stage()["inboundExecution"]["pipelineExecutionId"])
    is_so("before a stage that is", False, hangs.stage()["inboundTransitionState"]["enabled"])


def the_alarm_was_red_before():
    print("\n== The alarm was red before the deploy: only what gets worse counts, and what was done is observed")
    alarm("noisy")
    noisy = Pipeline("noisy", alarm="noisy")
    first = noisy.newest(1)
    noisy.comes_to(first, "Succeeded")
    turn("noisy", "ALARM")
    is_so("the first release has nothing to go back to", "RollbackDeclined",
          until("it is decided", lambda: noisy.decisions())[0]["outcome"])
    rule = noisy.stage()["onSuccessConditionState"]["conditionStates"][0]["ruleStates"][0]["latestExecution"]
    is_so("its watch", "Failed", rule["status"])
    print(f"     {rule['summary']}")
    second = noisy.release()
    noisy.comes_to(second, "Succeeded")
    turn("noisy", "ALARM")
    is_so("red before, and red still: decided about the second", [],
          noisy.decisions("--pipeline-execution-id", second))
    noisy.serves(2)
    turn("noisy", "OK")
    turn("noisy", "ALARM")
    rollback = noisy.newest(3)
    noisy.comes_to(rollback, "Succeeded")
    noisy.serves(1)
    [decided] = noisy.decisions("--pipeline-execution-id", second)
    evidence = decided["evidence"]
    print(f"     {evidence['reason']} {evidence['otherwise']}")
    again = aws("lastgood", "replay-decision", *noisy.at(), "--decision-id", decided["decisionId"])
    is_so("decided again, byte for byte the same", True, again["identical"])
    [incident] = [one for one in aws("lastgood", "list-incidents")["incidents"] if one["alarmArn"].endswith(":noisy")]
    is_so("the incident", "RollingBack", incident["status"])
    turn("noisy", "OK")
    until("the rollback helped", lambda: noisy.decisions()[0]["outcome"] == "RollbackHelped")


def nobody_is_clearly_to_blame():
    print("\n== One alarm, two deploys at the same time: nobody is clearly to blame, so a person is asked")
    alarm("shared")
    pipelines = [Pipeline("cart", alarm="shared"), Pipeline("till", alarm="shared")]
    for one in pipelines:
        one.comes_to(one.newest(1), "Succeeded")
    for one in pipelines:
        one.upload()
    for one in pipelines:
        one.comes_to(one.newest(2), "Succeeded")
    turn("shared", "ALARM")
    for one in pipelines:
        until("the stage is held", lambda one=one: not one.stage()["inboundTransitionState"]["enabled"])
        print(f"     {one.name}: {one.stage()['inboundTransitionState']['disabledReason']}")
        one.serves(2)
    [asked] = [one for one in pipelines[0].decisions() if one["outcome"] == "RollbackAsked"]
    ranking = [(one["pipelineName"], one["score"]) for one in asked["evidence"]["ranking"]]
    print(f"     the ranking: {ranking}")
    is_so("suspects", {"cart", "till"}, {name for name, _ in ranking[:2]})
    first = pipelines[1].executions()[-1]["pipelineExecutionId"]
    rollback = aws("codepipeline", "rollback-stage", *pipelines[1].at(), "--target-pipeline-execution-id", first)
    pipelines[1].comes_to(rollback["pipelineExecutionId"], "Succeeded")
    pipelines[1].serves(1)
    aws("lastgood", "release-hold", *pipelines[0].at(), "--comment", "It was till.")
    is_so("cart may go on", True, pipelines[0].stage()["inboundTransitionState"]["enabled"])


def nights():
    for night in (the_pipeline_was_edited, a_deploy_hangs, the_alarm_was_red_before, nobody_is_clearly_to_blame):
        night()


def main():
    with_local(nights)
    print("\nEvery night ended as told.")


if __name__ == "__main__":
    main()
