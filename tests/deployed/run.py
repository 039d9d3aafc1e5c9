#!/usr/bin/env python3
"""Deploys the real template with the real functions on ministack, tells a story there and on the local process, and compares.

    tests/deployed/run.py [--local BINARY] [--ministack PYTHON] [--only local|deployed] [--keep]

Needs boto3 and the AWS CLI of tests/clients/requirements.txt beside this Python, a Python with requirements.txt of this folder
(target/ci/ministack/bin/python unless given), and zips of `cargo xtask package` for this machine. Ends with 0 only if all was as told.
"""

import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
# Before boto3 is loaded: it knows `lastgood` by this, and signs for execute-api.
os.environ.update(AWS_DATA_PATH=str(ROOT / "infra/clients/botocore"), AWS_CONFIG_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true",
                  AWS_SHARED_CREDENTIALS_FILE=os.devnull)

from adaptations import adapt  # noqa: E402
from checks import Checks  # noqa: E402
from records import differences, records  # noqa: E402
from servers import Local, Ministack  # noqa: E402
from story import Story  # noqa: E402
from systems import SMOKE_CHECK, OnLocal, OnMinistack, bootstrap  # noqa: E402

PIPELINES = ("shop", "notes")

# What may differ between the two, and why. Everything else fails the run.
MAY_DIFFER = (
    (r"/shop/decisions/\d+/evidence/(ranking/\d+/)?score", "the later a deploy was before its alarm, the higher: it depends on how quick the machine is"),
)

NOT_COVERED = (
    ("EventBridge's event of an upload", "ministack's has no version-id; S3's own notification has it, and the rule's pattern is asked for"),
    ("EventBridge's event of an alarm", "ministack sends none and lets nobody send one for aws.cloudwatch; the function is invoked with one"),
    ("TLS", "ministack speaks plain HTTP here, so the bucket's policy that refuses it is tried and then taken away"),
    ("the condition events:source", "ministack knows no such key, so the policy is used without it"),
    ("the stack's own alarms and dashboard", "ministack knows no alarms over several metrics, so AlarmTopicArn is left empty; cfn-lint reads them"),
    ("KeyArn", "left empty: ministack encrypts nothing. A stack with a key was deployed by hand, on ministack too"),
    ("Tracing", "Disabled: ministack takes it and traces nothing. tests/structure counts the policies of each role where it is Active"),
    ("the console's JWT routes", "ConsoleIssuer is left empty: there is no issuer here, and nothing that signs people in"),
    ("the machines of CodeBuild, Commands, CodeDeploy and CodePipeline", "deployed, and none of them runs: the story starts a state machine of the user's. "
     "They are run against stand-ins of their services by the local interpreter"),
    ("the event of a machine that died", "none dies in the story; the rule's pattern is asked for, and the function's tests have the rest"),
    ("versions and aliases of machines", "ministack's CloudFormation knows neither, so MachineVersions is Disabled; cfn-lint reads them"),
    ("time limits and heartbeats of actions", "ministack takes no expression for them, and knows no heartbeat; the local process does"),
    ("errors of functions that hold a task token", "ministack's Step Functions passes over them; the local process and the simulation do not"),
    ("the output of Succeed", "ministack ignores it, so machines end in Pass here"),
    ("a nested execution that its parent stops", "ministack lets it run on; the simulation covers what becomes of it"),
    ("expiry of rows", "ministack takes the template's TimeToLiveSpecification and deletes nothing"),
    ("arm64", "functions run on this machine, so they are packaged for it"),
    ("throttling, cold starts, memory limits and prices", "an emulator has none of AWS's; `cargo xtask bench` counts requests"),
)


def tell(text):
    print(f"   {text}", flush=True)


def on_local(work, binary):
    print("On the local process")
    with Local(work, binary.resolve(), {SMOKE_CHECK: bootstrap(work)}) as server:
        system = OnLocal(server)
        story = Story(system, tell)
        story.shop()
        story.notes()
        return records(system, PIPELINES)


def on_ministack(work, python):
    print("On ministack, with the functions and the template as they are deployed")
    with Ministack(work, python) as server:
        since = time.monotonic()
        system = OnMinistack(server, work)
        tell(f"the stack is up after {time.monotonic() - since:.0f} s: {system.stack()['StackStatus']}")
        checks = Checks(system, tell)
        try:
            checks.before()
            adapt(system, tell)
            story = Story(system, tell)
            story.shop()
            story.notes(meanwhile=checks.upgrade)
            checks.after()
            found = records(system, PIPELINES)
        except BaseException:
            checks.keep_logs(work / "functions.log")
            raise
        checks.deleted()
        return found


def compare(local, deployed):
    print("The same story, twice written down")
    counted, unexplained = 0, []
    for at, one, other in differences(local, deployed):
        counted += 1
        reason = next((reason for pattern, reason in MAY_DIFFER if re.fullmatch(pattern, at)), None)
        tell(f"{at}: local {one!r}, deployed {other!r}{f' ({reason})' if reason else ''}")
        if reason is None:
            unexplained.append(at)
    if unexplained:
        raise AssertionError(f"the two systems differ in {len(unexplained)} places, of which nothing is known")
    executions = sum(len(local[pipeline]["executions"]) for pipeline in PIPELINES)
    tell(f"{executions} executions, their actions, states, candidates, decisions, incidents and holds: {counted} differences")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--local", default=ROOT / "target/debug/local", type=pathlib.Path)
    parser.add_argument("--ministack", default=ROOT / "target/ci/ministack/bin/python", type=pathlib.Path)
    parser.add_argument("--only", choices=("local", "deployed"))
    parser.add_argument("--keep", action="store_true", help="keep logs and packages")
    arguments = parser.parse_args()
    (ROOT / "target").mkdir(exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="deployed.", dir=ROOT / "target"))
    try:
        local = deployed = None
        if arguments.only != "deployed":
            local = on_local(work, arguments.local)
        if arguments.only != "local":
            deployed = on_ministack(work, arguments.ministack)
        if local and deployed:
            compare(local, deployed)
    except BaseException:
        print(f"Failed. Logs are in {work}.", file=sys.stderr)
        raise
    if not arguments.keep:
        shutil.rmtree(work)
    print("Not covered here")
    for what, why in NOT_COVERED:
        tell(f"{what}: {why}")
    print("All was as told.")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"NOT SO: {error}")
