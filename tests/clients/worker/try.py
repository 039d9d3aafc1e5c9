#!/usr/bin/env python3
"""Runs two workers against the local process, by the unchanged boto3, and checks what becomes of their work.

    tests/clients/worker/try.py [BINARY]      BINARY is the local process, target/debug/local unless given

The process listens on a free port and keeps its data below target/. Ends with 0 only if all was so.
"""

import io
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
# A property of the action that its type declares to be secret.
SECRET = "let me in, never logged"
ROOT = HERE.parents[2]
# Longest time to wait for something to be seen; a worker asks once a second.
PATIENCE_S = 60
LOOK_EVERY_S = 0.3

GOOD = {"index.html": '<a href="about.html">About</a> <a href="/img/logo.svg">', "about.html": '<a href="index.html#top">',
        "img/logo.svg": "<svg/>"}
BROKEN = {"index.html": '<a href="contact.html">Contact</a>'}


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def until(what, look):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        seen = look()
        if seen:
            print(f"   {what}")
            return seen
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(f"after {PATIENCE_S} s there is still no sign of: {what}")


def same(what, expected, found):
    assert expected == found, f"{what}: expected {expected!r}, found {found!r}"
    print(f"   {what}: {found}")


class Story:
    def __init__(self, boto3):
        self.codepipeline = boto3.client("codepipeline")
        self.s3 = boto3.client("s3")

    def prepare(self):
        import json

        for of in ("releases", "artifacts", "site"):
            self.s3.create_bucket(Bucket=f"pages-{of}")
        self.s3.put_bucket_versioning(Bucket="pages-releases", VersioningConfiguration={"Status": "Enabled"})
        self.upload(GOOD)
        declared = json.loads((HERE / "action-type.json").read_text())
        self.codepipeline.create_custom_action_type(**declared)
        listed = self.codepipeline.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
        same("declared types", ["SiteCheck"], [one["id"]["provider"] for one in listed])
        pipeline = json.loads((HERE / "pipeline.json").read_text())
        shown = self.codepipeline.create_pipeline(pipeline=pipeline)["pipeline"]
        same("the secret is shown as", "****", shown["stages"][1]["actions"][0]["configuration"]["Token"])

    def upload(self, files):
        return self.s3.put_object(Bucket="pages-releases", Key="pages.zip", Body=zipped(files))["VersionId"]

    def newest(self):
        return self.codepipeline.list_pipeline_executions(pipelineName="pages")["pipelineExecutionSummaries"][0]

    def ended(self, version):
        """The execution that took the object version, once it has ended."""
        newest = self.newest()
        took = [revision.get("revisionId") for revision in newest.get("sourceRevisions", [])]
        return newest if took == [version] and newest["status"] != "InProgress" else None

    def check_run(self, execution):
        runs = self.codepipeline.list_action_executions(
            pipelineName="pages", filter={"pipelineExecutionId": execution["pipelineExecutionId"]}
        )["actionExecutionDetails"]
        return next(run for run in runs if run["actionName"] == "Check")

    def state(self):
        stages = self.codepipeline.get_pipeline_state(name="pages")["stageStates"]
        return stages[1]["actionStates"][0]

    def waiting_job(self):
        return self.state().get("latestExecution", {}).get("status") == "InProgress"

    def good_release(self, version):
        execution = until("the first release ends", lambda: self.ended(version))
        same("its status", "Succeeded", execution["status"])
        run = self.check_run(execution)
        variables = run["output"]["outputVariables"]
        same("pages", "3", variables["Pages"])
        result = run["output"]["executionResult"]
        same("summary", f"Packed 3 pages as {variables['Digest']}", result["externalExecutionSummary"])
        same("link", f"https://checks.example/pages/{execution['pipelineExecutionId'][:13]}", result["externalExecutionUrl"])
        same("the secret in the history", "****", run["input"]["resolvedConfiguration"]["Token"])
        state = self.state()
        same("percent", 100, state["latestExecution"]["percentComplete"])
        same("revision", variables["Digest"], state["currentRevision"]["revisionId"])
        sums = self.s3.get_object(Bucket="pages-site", Key=f"{variables['Digest']}/SHA256SUMS")["Body"].read()
        same("deployed sums", ["about.html", "img/logo.svg", "index.html"], [line.split()[1] for line in sums.decode().splitlines()])

    def broken_release(self):
        version = self.upload(BROKEN)
        execution = until("the broken release ends", lambda: self.ended(version))
        same("its status", "Failed", execution["status"])
        error = self.check_run(execution)["output"]["executionResult"]["errorDetails"]
        same("error", {"code": "JobFailed", "message": "index.html links to contact.html"}, error)

    def lost_worker(self):
        """A worker takes a job and dies before it acknowledges it: another one gets it."""
        version = self.upload(GOOD)
        until("a job waits", self.waiting_job)
        poll = {
            "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "SiteCheck", "version": "1"},
            "queryParam": {"Project": "pages"},
        }
        lost = until("a worker gets it", lambda: self.codepipeline.poll_for_jobs(**poll)["jobs"])[0]
        assert lost["data"]["actionConfiguration"]["configuration"]["Token"] == SECRET
        same("jobs for another one meanwhile", [], self.codepipeline.poll_for_jobs(**poll)["jobs"])
        return version, lost

    def late_worker(self, lost):
        try:
            self.codepipeline.acknowledge_job(jobId=lost["id"], nonce=lost["nonce"])
        except self.codepipeline.exceptions.InvalidNonceException as refused:
            print(f"   the first one comes too late: {refused}")
        else:
            raise AssertionError("the first worker's nonce is still taken")


def main():
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/local").resolve()
    (ROOT / "target").mkdir(exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="worker.", dir=ROOT / "target"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Nothing of the user's own settings may change what is tested.
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        os.environ.pop(name, None)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="any",
        AWS_SECRET_ACCESS_KEY="any", AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
    import boto3  # Reads the settings above.

    started = []

    def start(log, *command, env=None):
        process = subprocess.Popen(command, env=env, stdout=(work / log).open("ab"), stderr=subprocess.STDOUT)
        started.append(process)
        return process

    def start_system():
        # In as much detail as anybody may ask for: what is secret must not be there.
        log = {**os.environ, "RUST_LOG": "trace"}
        process = start("local.log", str(binary), "--data", str(work / "data"), "--port", str(port), env=log)
        until("the local process answers", answers)
        return process

    def answers():
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close() is None
        except OSError:
            return False

    try:
        system = start_system()
        story = Story(boto3)
        print("== A pipeline with a custom action; its first job waits for a worker")
        story.prepare()
        version = until("the upload is taken", lambda: story.newest().get("sourceRevisions"))[0]["revisionId"]
        until("a job waits", story.waiting_job)
        print("== Two workers")
        workers = [start(f"worker-{n}.log", sys.executable, str(HERE / "worker.py"), "pages") for n in (1, 2)]
        story.good_release(version)
        story.broken_release()
        print("== A worker is lost, the local process is killed and started again, and another worker does the job")
        for worker in workers:
            worker.kill()
            worker.wait()
        version, lost = story.lost_worker()
        system.kill()
        system.wait()
        start_system()
        start("worker-3.log", sys.executable, str(HERE / "worker.py"), "pages")
        execution = until("the release ends all the same", lambda: story.ended(version))
        same("its status", "Succeeded", execution["status"])
        story.late_worker(lost)
        logged = (work / "local.log").read_text(errors="replace")
        same("secrets in the log", [], [secret for secret in (SECRET, lost["nonce"]) if secret in logged])
        same("jobs in the log", True, "PollForJobs" in logged)
    except BaseException:
        for log in sorted(work.glob("*.log")):
            print(f"--- the end of {log}:\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        raise
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()
    shutil.rmtree(work)
    print("The workers did as told.")


if __name__ == "__main__":
    main()
