"""The demonstration's story, told through clients: what happens is the same wherever the system runs."""

import io
import json
import pathlib
import time
import zipfile

from systems import RELEASES

HERE = pathlib.Path(__file__).resolve().parent
SITE, OBJECT, ALARM = "lastgood-shop-site", "shop.zip", "shop-errors"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
# Longest wait for something to be seen. A release takes a few seconds; machines that build at the same time are slow.
PATIENCE_S = 120
LOOK_EVERY_S = 0.3


def declaration(name):
    return json.loads((HERE / f"pipelines/{name}.json").read_text())


def page(number):
    return f"<!doctype html><title>Shop</title><h1>Release {number}</h1>\n".encode()


def archive(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in files.items():
            # Without a time: the same release is the same archive.
            file.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def until(what, look):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(f"after {PATIENCE_S} s there is still no sign of: {what}")


def same(what, expected, found):
    if expected != found:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


class Story:
    def __init__(self, system, tell):
        self.system, self.tell = system, tell
        self.codepipeline = system.codepipeline

    # -- the shop: the demonstration's story

    def shop(self):
        """A release, a broken one, one that degrades and is rolled back for its alarm, and one that is asked back."""
        self.prepare()
        first = self.released(1)
        self.broken(first)
        third = self.released(3)
        self.degrading(third)
        self.by_hand(first)
        self.refusals(first)

    def prepare(self):
        self.system.cloudwatch.put_metric_alarm(
            AlarmName=ALARM, Namespace="Shop", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=5,
            ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore")
        self.system.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="Nobody complains")
        self.codepipeline.create_pipeline(pipeline=declaration("shop"))
        first = until("the first execution", lambda: self.executions("shop"))[0]
        ended = self.ended("shop", first["pipelineExecutionId"], "Failed")
        self.tell(f"a pipeline; its first execution failed, nothing being there: {ended['statusSummary']}")

    def upload(self, number, key=OBJECT, broken=False):
        files = {"index.html": page(number), **({} if broken else {"appspec.yml": f"version: {number}\n"})}
        put = self.system.s3.put_object(Bucket=RELEASES, Key=key, Body=archive(files),
                                        Metadata={"codepipeline-artifact-revision-summary": f"release {number}"})
        return put["VersionId"]

    def uploaded(self, pipeline, number, **more):
        """Uploads; returns the execution that this upload started."""
        version = self.upload(number, **more)

        def look():
            for one in self.executions(pipeline):
                revisions = [revision.get("revisionId") for revision in one.get("sourceRevisions", [])]
                if revisions == [version] and one["trigger"]["triggerType"] == "CloudWatchEvent":
                    return one["pipelineExecutionId"]
            return None

        return until(f"the execution of release {number}", look)

    def released(self, number):
        execution = self.uploaded("shop", number)
        self.ended("shop", execution, "Succeeded")
        self.serves(number)
        self.tell(f"release {number} went out by an upload, and the site serves it")
        return execution

    def broken(self, good):
        execution = self.uploaded("shop", 2, broken=True)
        failed = self.ended("shop", execution, "Failed")
        rollback = self.rollback("AutomatedRollback", execution)
        self.brought_back(rollback, good)
        detail = json.loads(rollback["trigger"]["triggerDetail"])
        same("the cause that the trigger names", execution, detail["FailedPipelineExecutionId"])
        self.serves(1)
        self.ended("shop", execution, "Failed")
        self.tell(f"release 2 failed and the site serves release 1 again: {failed['statusSummary']}")

    def degrading(self, good):
        execution = self.released(4)
        self.system.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="Customers see errors")
        self.system.alarm_turned(ALARM)
        rollback = self.rollback("AutomatedRollback", execution)
        self.brought_back(rollback, good)
        self.serves(3)
        inbound = self.stage("shop", "Deploy")["inboundTransitionState"]
        same("the way in", False, inbound["enabled"])
        self.system.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="Customers are well again")
        self.system.alarm_turned(ALARM)
        self.tell(f"the alarm turned red, and the site serves release 3 again. {inbound['disabledReason']}")

    def by_hand(self, target):
        candidates = self.system.lastgood.list_rollback_candidates(pipelineName="shop", stageName="Deploy")["candidates"]
        eligible = [one["pipelineExecutionId"] for one in candidates if one["eligible"]]
        same("release 1 is a candidate", True, target in eligible)
        started = self.codepipeline.rollback_stage(pipelineName="shop", stageName="Deploy", targetPipelineExecutionId=target)
        rollback = self.ended("shop", started["pipelineExecutionId"], "Succeeded")
        self.brought_back(rollback, target)
        self.serves(1)
        self.tell("rollback-stage brought release 1 back")

    def refusals(self, first):
        failed = next(one for one in self.executions("shop") if one["status"] == "Failed")["pipelineExecutionId"]
        rollback = next(one for one in self.executions("shop") if one["executionType"] == "ROLLBACK")["pipelineExecutionId"]
        for what, stage, target, exception in (
            ("the Source stage", "Source", first, "UnableToRollbackStageException"),
            ("what never succeeded", "Deploy", failed, "UnableToRollbackStageException"),
            ("a rollback", "Deploy", rollback, "UnableToRollbackStageException"),
            ("what nobody knows", "Deploy", UNKNOWN, "PipelineExecutionNotFoundException"),
        ):
            try:
                self.codepipeline.rollback_stage(pipelineName="shop", stageName=stage, targetPipelineExecutionId=target)
            except getattr(self.codepipeline.exceptions, exception):
                continue
            raise AssertionError(f"rolling back to {what} was not refused")
        self.tell("four rollbacks that make no sense were refused, each with CodePipeline's error")

    # -- the notes: a person, and the machine of a provider

    def notes(self, meanwhile=lambda: None):
        """An execution waits for a person, `meanwhile` happens, and then it goes on to a state machine of the user's."""
        self.upload(1, key="notes.zip")
        self.codepipeline.create_pipeline(pipeline=declaration("notes"))
        execution = until("the first execution", lambda: self.executions("notes"))[0]["pipelineExecutionId"]
        until("the question", lambda: self.token("notes", "Accept"))
        meanwhile()
        self.codepipeline.put_approval_result(
            pipelineName="notes", stageName="Accept", actionName="Read", token=self.token("notes", "Accept"),
            result={"summary": "Well written", "status": "Approved"})
        self.ended("notes", execution, "Succeeded")
        work = self.stage("notes", "Send")["actionStates"][0]["latestExecution"]["externalExecutionId"]
        same("the state machine that the action started", "lastgood-mail", work.split(":")[6])
        self.tell("an execution was approved by a person, and its action ran a state machine of the user's")

    # -- what is seen

    def executions(self, pipeline):
        return self.codepipeline.list_pipeline_executions(pipelineName=pipeline)["pipelineExecutionSummaries"]

    def ended(self, pipeline, execution, status):
        def look():
            one = next(one for one in self.executions(pipeline) if one["pipelineExecutionId"] == execution)
            return one if one["status"] not in ("InProgress", "Stopping") else None

        found = until(f"the end of execution {execution}", look)
        same(f"the end of execution {execution} ({found.get('statusSummary')})", status, found["status"])
        return found

    def rollback(self, trigger, undone):
        def look():
            for one in self.executions("shop"):
                found = one["trigger"]["triggerType"] == trigger and undone in one["trigger"]["triggerDetail"]
                if found and one["status"] != "InProgress":
                    return one
            return None

        return until(f"the rollback of execution {undone}", look)

    def brought_back(self, rollback, target):
        same("the rollback", ("ROLLBACK", "Succeeded"), (rollback["executionType"], rollback["status"]))
        same("what it brought back", target, rollback["rollbackMetadata"]["rollbackTargetPipelineExecutionId"])

    def serves(self, number):
        def look():
            return self.system.s3.get_object(Bucket=SITE, Key="index.html")["Body"].read() == page(number)

        until(f"release {number} on the site", look)

    def stage(self, pipeline, name):
        stages = self.codepipeline.get_pipeline_state(name=pipeline)["stageStates"]
        return next(one for one in stages if one["stageName"] == name)

    def token(self, pipeline, stage):
        latest = self.stage(pipeline, stage)["actionStates"][0].get("latestExecution", {})
        return latest.get("token") if latest.get("status") == "InProgress" else None
