"""What only a deployed stack can show: who may come in, what its rules take, an upgrade, what its functions logged."""

import json
import time
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import ClientError

from story import same, until
from systems import ACCOUNT, REGION, STACK, clients

OBJECT_CREATED = {
    "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created", "source": "aws.s3",
    "account": ACCOUNT, "time": "2026-11-12T00:00:00Z", "region": REGION, "resources": ["arn:aws:s3:::lastgood-shop-releases"],
    "detail": {"version": "0", "bucket": {"name": "lastgood-shop-releases"}, "reason": "PutObject",
               "object": {"key": "shop.zip", "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "version-id": "a"}},
}
# What a service says when IAM lets nobody by.
DENIED = ("AccessDenied", "is not authorized to perform", "not authorized to assume")

# ... and what the bucket of definitions says of plain HTTP, once, before its policy is taken away.
PLAIN_HTTP = "PutObject on s3://lastgood-bucket-"


class Checks:
    def __init__(self, system, tell):
        self.system, self.tell = system, tell

    def before(self):
        self.doors()
        self.rules()

    def doors(self):
        """Unsigned, signed by nobody, and by somebody who may not: none of them reaches the API. Webhooks are open."""
        request = urllib.request.Request(self.system.api, b"{}", {"X-Amz-Target": "CodePipeline_20150709.ListPipelines",
                                                                  "Content-Type": "application/x-amz-json-1.1"})
        same("unsigned", 403, status(request))
        stranger = boto3.client("codepipeline", region_name=REGION, endpoint_url=self.system.api,
                                aws_access_key_id="AKIASTRANGER00000001", aws_secret_access_key="guessed")
        # API Gateway answers 403, ministack 400.
        same("signed by a key of nobody is refused", True, refused(stranger.list_pipelines) in (400, 403))
        iam = self.system.root["iam"]
        iam.create_user(UserName="visitor")
        key = iam.create_access_key(UserName="visitor")["AccessKey"]
        visitor = clients(self.system.server.endpoint, (key["AccessKeyId"], key["SecretAccessKey"]), ("codepipeline",), self.system.api)
        same("signed by a user without a policy", 403, refused(visitor["codepipeline"].list_pipelines))
        same("the operator", [], self.system.codepipeline.list_pipelines()["pipelines"])
        hook = urllib.request.Request(f"{self.system.api}webhooks/of-nobody", b"{}", {"Content-Type": "application/json"})
        same("a webhook that nobody has put", 404, status(hook))
        self.tell("the API is closed to whoever is not signed in or not allowed; webhooks answer for themselves")

    def rules(self):
        """The stack's rules take what S3, CloudWatch and Step Functions send, and lead to their functions."""
        events = self.system.root["events"]
        alarm = {**OBJECT_CREATED, "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
                 "detail": {"alarmName": "shop-errors", "state": {"value": "ALARM"}}}
        machine = self.system.output("MachineArn")
        died = {**OBJECT_CREATED, "source": "aws.states", "detail-type": "Step Functions Execution Status Change", "resources": [machine],
                "detail": {"stateMachineArn": machine, "name": "of-nobody", "status": "FAILED"}}
        for event, logical in ((OBJECT_CREATED, "SourceTriggerFunction"), (alarm, "AlarmHandlerFunction"), (died, "ReconcilerFunction")):
            arn = self.system.function_arn(logical)
            rules = [events.describe_rule(Name=name) for name in events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]]
            patterns = [rule["EventPattern"] for rule in rules if rule.get("EventPattern")]
            same(f"rules of {logical}", 1, len(patterns))
            matched = events.test_event_pattern(EventPattern=patterns[0], Event=json.dumps(event))["Result"]
            same(f"the rule of {logical} takes {event['detail-type']}", True, matched)
            [rule] = [rule for rule in rules if rule.get("EventPattern")]
            [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            same(f"dead letters of {logical}", True, bool(target.get("DeadLetterConfig", {}).get("Arn")))
        self.tell("the stack's rules take the events of uploads, alarms and dead machines to their functions, and keep what was lost")

    def upgrade(self):
        """The stack is deployed again, with another parameter, while an execution waits."""
        self.system.deploy(LogRetentionDays="7")
        same("the stack", "UPDATE_COMPLETE", self.system.stack()["StackStatus"])
        self.tell("the stack was upgraded while an execution waited for a person")

    def after(self):
        self.reconciled()
        self.machines()
        self.nothing_secret()
        self.nobody_was_refused()

    def reconciled(self):
        """The schedule has called the reconciler."""
        group = self.system.physical("ReconcilerLogs")
        until("the reconciler, by its schedule", lambda: self.log(group))
        self.tell("the schedule calls the reconciler")

    def machines(self):
        """Every machine has ended well: failure is data, so one that failed is a defect."""
        counted = {}
        for run in self.runs():
            same(run["executionArn"], "SUCCEEDED", run["status"])
            machine = run["stateMachineArn"].split(":")[6]
            counted[machine] = counted.get(machine, 0) + 1
        self.tell(f"machines that ran, and all ended well: {counted}")

    def runs(self):
        stepfunctions = self.system.root["stepfunctions"]
        for machine in stepfunctions.list_state_machines()["stateMachines"]:
            yield from stepfunctions.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]

    def nothing_secret(self):
        """No token that the table holds, and no key, is in what the functions logged."""
        table = clients(self.system.server.endpoint, self.system.root_keys, ("dynamodb",))["dynamodb"]
        found = table.get_paginator("scan").paginate(TableName=self.system.output("TableName")).build_full_result()["Items"]
        tokens = {token for item in found for token in tokens_in(item)}
        same("the table holds tokens", True, len(tokens) > 3)
        secrets = tokens | {self.system.keys[1], self.system.webhook_secret()}
        leaks = []
        for resource in self.resources("AWS::Logs::LogGroup"):
            for message in self.log(resource["PhysicalResourceId"]):
                leaks += [f"{resource['LogicalResourceId']}: {message}" for secret in secrets if secret in message]
        same("secrets that the functions logged", [], leaks)
        self.tell(f"none of {len(secrets)} tokens and keys is in what the functions logged")

    def nobody_was_refused(self):
        """No function asked for what its policies do not give, and nobody's events were lost."""
        complaints, lines = [], 0
        for resource in self.resources("AWS::Logs::LogGroup"):
            for message in self.log(resource["PhysicalResourceId"]):
                lines += 1
                if any(sign in message for sign in DENIED) and PLAIN_HTTP not in message:
                    complaints.append(f"{resource['LogicalResourceId']}: {message}")
        same("what IAM refused the functions", [], complaints)
        queue = self.system.physical("DeadLetters")
        attributes = self.system.root["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
        same("dead letters", "0", attributes["Attributes"]["ApproximateNumberOfMessages"])
        self.tell(f"in {lines} lines that the functions logged, IAM refused them nothing; no event was lost")

    def deleted(self):
        """The stack goes, what holds the history stays, until the README's last commands delete that as well."""
        table, bucket = self.system.output("TableName"), self.system.output("BucketName")
        dynamodb = clients(self.system.server.endpoint, self.system.root_keys, ("dynamodb",))["dynamodb"]
        same("the table's protection", True, dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"])
        self.system.delete()
        same("tables", False, table in dynamodb.list_tables()["TableNames"])
        same("buckets", False, bucket in [one["Name"] for one in self.system.root["s3"].list_buckets()["Buckets"]])
        self.tell("the stack was deleted, and then what outlives it, by the README's commands")

    def keep_logs(self, file):
        """What the functions said, for whoever looks for a reason."""
        groups = self.resources("AWS::Logs::LogGroup")
        lines = [f"{one['LogicalResourceId']} {line.rstrip()}" for one in groups for line in self.log(one["PhysicalResourceId"])]
        stepfunctions = self.system.root["stepfunctions"]
        for run in self.runs():
            if run["status"] not in ("SUCCEEDED", "RUNNING"):
                history = stepfunctions.get_execution_history(executionArn=run["executionArn"])["events"]
                lines += [json.dumps(event, default=str) for event in history]
        file.write_text("\n".join(lines))

    def resources(self, kind):
        found = self.system.root["cloudformation"].get_paginator("list_stack_resources").paginate(StackName=STACK)
        return [one for one in found.build_full_result()["StackResourceSummaries"] if one["ResourceType"] == kind]

    def log(self, group):
        pages = self.system.root["logs"].get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for event in pages.build_full_result()["events"]]


def tokens_in(value):
    """Texts under members that are called after a token or a nonce."""
    if isinstance(value, list):
        return [token for one in value for token in tokens_in(one)]
    if not isinstance(value, dict):
        return []
    named = [one["S"] for name, one in value.items() if isinstance(one, dict) and "S" in one and name.lower().endswith(("token", "nonce"))]
    return [token for token in named if len(token) > 8] + [token for one in value.values() for token in tokens_in(one)]


def status(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def refused(call):
    try:
        call()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200
