"""What a system has written down about a story, in a form that two runs share, and where two of them differ."""

import datetime
import re

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The last part of an artifact's key, which the id of the action's run makes.
ARTIFACT = re.compile(r"\b[0-9a-f]{12}(-[0-9a-f]{8})?\b")
# Times in texts and in names that are made of them.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")


def records(system, pipelines):
    """Every list that clients read of these pipelines, oldest first, with names in place of ids and times."""
    names, found = Names(), {}
    for pipeline in pipelines:
        codepipeline, lastgood = system.codepipeline, system.lastgood
        executions = pages(codepipeline, "list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=pipeline)
        executions.reverse()
        names.learn(executions)
        actions = pages(codepipeline, "list_action_executions", "actionExecutionDetails", pipelineName=pipeline)
        actions.sort(key=lambda one: (one["startTime"], one["actionExecutionId"]))
        found[pipeline] = {
            "executions": executions,
            "actions": actions,
            "state": codepipeline.get_pipeline_state(name=pipeline),
            "candidates": lastgood.list_rollback_candidates(
                pipelineName=pipeline, stageName=last_stage(codepipeline, pipeline))["candidates"][::-1],
            "decisions": lastgood.list_rollback_decisions(pipelineName=pipeline)["decisions"][::-1],
        }
    found["incidents"] = system.lastgood.list_incidents()["incidents"]
    found["holds"] = system.lastgood.list_holds()["holds"]
    return names.of(found)


def last_stage(codepipeline, pipeline):
    return codepipeline.get_pipeline(name=pipeline)["pipeline"]["stages"][-1]["name"]


def pages(client, operation, member, **arguments):
    return client.get_paginator(operation).paginate(**arguments).build_full_result()[member]


class Names:
    """Names by the order in which ids are first met; the order of both runs is that of their stories."""

    def __init__(self):
        self.known = {}
        self.counted = {}

    def name(self, kind, text):
        if text not in self.known:
            self.counted[kind] = self.counted.get(kind, 0) + 1
            self.known[text] = f"<{kind} {self.counted[kind]}>"
        return self.known[text]

    def learn(self, executions):
        """What is met everywhere, so that it has its name from the beginning."""
        for one in executions:
            self.name("execution", one["pipelineExecutionId"])
        for one in executions:
            for revision in one.get("sourceRevisions", []):
                self.name("version", revision["revisionId"])

    def of(self, value):
        if isinstance(value, dict):
            return {key: self.of(one) for key, one in sorted(value.items()) if key != "ResponseMetadata"}
        if isinstance(value, (list, tuple)):
            return [self.of(one) for one in value]
        if isinstance(value, datetime.datetime):
            return "<time>"
        if not isinstance(value, str):
            return value
        for text, name in self.known.items():
            value = value.replace(text, name)
        value = UUID.sub(lambda found: self.name("id", found[0]), value)
        value = ARTIFACT.sub(lambda found: self.name("artifact", found[0]), value)
        return TIME.sub("<time>", value)


def differences(one, other, at=""):
    """Where two records differ: (path, one's value, the other's)."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{at}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other)):
            yield from differences(left, right, f"{at}/{index}")
    elif one != other:
        yield at, one, other
