#!/usr/bin/env python3
"""A release that does harm, found by metrics alone, and judged again from an export of CloudWatch, by the AWS CLI alone.

    tests/clients/judged.py [BINARY] [XTASK]     the local process and xtask, in target/debug unless given

Starts the local process on a free port with data of its own and prints each command with what it showed. Needs botocore's
AWS CLI (requirements.txt); AWS_CLI names it, `aws` unless given. Takes about two minutes: the judge comes by once a minute.
Ends with 0 only if all was as told.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from extensions import ROOT, is_so, with_local
from nights import Pipeline, Refused, aws

RULE = {"category": "Rule", "owner": "AWS", "provider": "MetricDegradation", "version": "1"}
PERIOD_S = 10
HISTORY_S = 11 * 60
PATIENCE_S = 240
# Errors out of requests as metric math, beside a metric as it is.
METRICS = [
    {"name": "failures", "namespace": "Shop", "kind": "gauge", "expression": "100 * failed / requests",
     "metrics": {"failed": {"metric": "Failed", "statistic": "Sum"}, "requests": {"metric": "Requests", "statistic": "Sum"}}},
    {"name": "latency", "namespace": "Shop", "metric": "Latency", "statistic": "p90"},
]


class Judged(Pipeline):
    """A pipeline whose stage is judged after it was left."""

    def declaration(self, alarm, approval):
        declared = super().declaration(alarm, approval)
        settings = {"Metrics": json.dumps(METRICS), "Period": str(PERIOD_S), "Baseline": "10", "WaitTime": "10", "Watch": "true"}
        rule = {"name": "Judge", "ruleTypeId": RULE, "configuration": settings}
        declared["stages"][1]["onSuccess"] = {"conditions": [{"result": "ROLLBACK", "rules": [rule]}]}
        return declared


def data(at, harm):
    """What the shop tells of one second."""
    varies = at * 7 % 13
    values = {"Requests": 30 + varies, "Failed": 9 if harm else 2 + at % 2, "Latency": (80 + varies) * (2.5 if harm else 1)}
    return [{"MetricName": name, "Value": value, "Timestamp": at, "StorageResolution": 1} for name, value in values.items()]


def tell(seconds, harm):
    every = [datum for at in seconds for datum in data(at, harm)]
    for begin in range(0, len(every), 600):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(every[begin:begin + 600], file)
            file.flush()
            aws("cloudwatch", "put-metric-data", "--namespace", "Shop", "--metric-data", f"file://{file.name}", shown=False)


def until_decided(pipeline):
    """Tells of harm, second by second, until the release was taken back."""
    told, until = int(time.time()), time.time() + PATIENCE_S
    while time.time() < until:
        now = int(time.time())
        tell(range(told, now), harm=True)
        told = now
        started = [one for one in pipeline.decisions_quietly() if one["outcome"] == "RollbackStarted"]
        if started:
            return started[0]
        time.sleep(2)
    raise SystemExit(f"NOT SO: the judge finds the harm: not within {PATIENCE_S} s")


def again(xtask, declared, entered, succeeded):
    """Judges the release from what CloudWatch has of it."""
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        (at / "pipeline.json").write_text(json.dumps(declared))
        words = ["judge-export", "--rule", at / "pipeline.json", "--entered", entered, "--succeeded", succeeded]
        queries = subprocess.run([xtask, *words, "--queries"], capture_output=True, text=True, check=True)
        (at / "queries.json").write_text(queries.stdout)
        exported = aws("cloudwatch", "get-metric-data", "--cli-input-json", f"file://{at}/queries.json")
        (at / "release.json").write_text(json.dumps(exported))
        judged = subprocess.run([xtask, *words, "--evidence", at / "release.json"], capture_output=True, text=True, check=True)
        return json.loads(judged.stdout)


def judged():
    xtask = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "target/debug/xtask").resolve()
    print("== A pipeline of which no alarm is defined")
    pipeline = Judged("checkout")
    pipeline.decisions_quietly = lambda: aws("lastgood", "list-rollback-decisions", *pipeline.at(), shown=False)["decisions"]
    first = pipeline.newest(1)
    pipeline.comes_to(first, "Succeeded")
    now = int(time.time())
    tell(range(now - HISTORY_S, now), harm=False)

    print("== A release that fails three times as often and takes twice as long")
    second = pipeline.release()
    pipeline.comes_to(second, "Succeeded")
    decided = until_decided(pipeline)
    evidence = decided["evidence"]
    print(f"     {evidence['reason']}")
    is_so("it is taken back to", first, decided["targetPipelineExecutionId"])
    is_so("the verdict", "Degraded", evidence["verdict"])
    replayed = aws("lastgood", "replay-decision", *pipeline.at(), "--decision-id", decided["decisionId"])
    is_so("decided again, byte for byte the same", True, replayed["identical"])
    pipeline.serves(1)

    print("== The same release from an export of CloudWatch")
    live = json.loads(replayed["stored"])["case"]["suspects"][0]
    # When the stage had succeeded only the watch knows; what ended within one period makes no difference.
    entered = live["watch"]["from"]
    offline = again(xtask, pipeline.declared, entered, entered)
    seen = live["sighted"]["evidence"]
    is_so("the verdict", seen["verdict"], offline["verdict"])
    is_so("after as many points", seen["afterPoints"], offline["afterPoints"])
    is_so("in the same words", seen["why"], offline["why"])
    is_so("from the same series", seen["metrics"], offline["evidence"]["metrics"])

    print("== What cannot be judged is refused")
    wrong = json.loads(json.dumps(pipeline.declared))
    wrong["stages"][1]["onSuccess"]["conditions"][0]["rules"][0]["configuration"]["Metrics"] = "rds:orders"
    try:
        aws("codepipeline", "update-pipeline", "--pipeline", json.dumps(wrong))
    except Refused as error:
        print(f"     {error}")
        is_so("which names the preset", True, "unknown preset 'rds:orders'" in str(error))
    else:
        raise SystemExit("NOT SO: a preset that nobody knows is taken")


def main():
    with_local(judged)
    print("\nThe judge said the same, live and offline.")


if __name__ == "__main__":
    main()
