"""The two systems that a story is told to: one process on a laptop, and the template in an account.

A story knows neither. Both have `codepipeline`, `lastgood`, `s3`, `cloudwatch` and `stepfunctions` (clients of an operator), and
`alarm_turned`, which lets the system know of an alarm.
"""

import datetime
import io
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BOTOCORE_DATA = ROOT / "infra/clients/botocore"
ACCOUNT, REGION = "000000000000", "us-east-1"
BUCKETS = ("lastgood-shop-releases", "lastgood-shop-artifacts", "lastgood-shop-site")
RELEASES = BUCKETS[0]
SMOKE_CHECK = "lastgood-smoke-check"
PIPELINE_ROLE = "lastgood-shop"
STACK = "lastgood"
ALARM_HANDLER, SOURCE_TRIGGER = "AlarmHandlerFunction", "SourceTriggerFunction"
# A machine of the user's, which the pipeline `notes` starts.
MAIL = {"StartAt": "Mail", "States": {"Mail": {"Type": "Pass", "End": True}}, "QueryLanguage": "JSONata"}
# The functions are small processes, and yet some answers come late on a busy machine.
CLIENT = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
SERVICES = ("codepipeline", "lastgood", "s3", "cloudwatch", "stepfunctions")


def clients(endpoint, keys, services, api=None):
    session = boto3.Session(*keys, region_name=REGION)
    at = {"codepipeline": api or endpoint, "lastgood": api or endpoint}
    return {name: session.client(name, endpoint_url=at.get(name, endpoint), config=CLIENT) for name in services}


def bootstrap(work):
    """The smoke check as a program that runs with this Python, which has boto3."""
    program = pathlib.Path(work) / "bootstrap"
    program.write_text(f"#!{sys.executable}\n" + (HERE / "smoke_check.py").read_text())
    program.chmod(0o755)
    return program


def make_buckets(s3):
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=RELEASES, VersioningConfiguration={"Status": "Enabled"})


class OnLocal:
    """`cargo local`: uploads and alarms reach the functions by themselves."""

    def __init__(self, server):
        vars(self).update(clients(server.endpoint, ("operator", "any"), SERVICES))
        make_buckets(self.s3)
        self.stepfunctions.create_state_machine(name="lastgood-mail", definition=json.dumps(MAIL), roleArn=role(PIPELINE_ROLE))

    def alarm_turned(self, _alarm):
        pass


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


class OnMinistack:
    """The template, deployed through CloudFormation by the AWS CLI, as the README says; nothing of it is changed."""

    def __init__(self, server, work):
        self.server, self.work = server, pathlib.Path(work)
        # A 12-digit key is the account's root, which ministack lets do everything: only for what a person prepares.
        self.root_keys = (ACCOUNT, "root")
        services = ("s3", "iam", "cloudformation", "lambda", "stepfunctions", "events", "logs", "sqs", "cloudwatch", "sts")
        self.root = clients(server.endpoint, self.root_keys, services)
        make_buckets(self.root["s3"])
        self.deploy()
        self.api = f"{server.endpoint}/_aws/execute-api/{self.output('Endpoint').split('//')[1].split('.')[0]}/"
        self.keys = self.make_operator()
        vars(self).update(clients(server.endpoint, self.keys, SERVICES, self.api))
        self.make_users_things()

    def deploy(self, **parameters):
        """The README's commands: once more is an upgrade."""
        steps = readme("aws cloudformation deploy")
        overrides = " ".join(f"{name}={value}" for name, value in {"Architecture": "x86_64", "MachineVersions": "Disabled", **parameters}.items())
        for step in steps if not parameters else [step for step in steps if "cloudformation" in step]:
            self.sh(f"{step} --parameter-overrides {overrides}" if " deploy " in step else step)

    def delete(self):
        """The README's commands that leave nothing behind."""
        self.sh("\n".join(readme("aws cloudformation delete-stack")))

    def sh(self, commands):
        variables = {
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": self.root_keys[0], "AWS_SECRET_ACCESS_KEY": self.root_keys[1],
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        # The CLI's sqs does not heed the variable.
        aws = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }\n'
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", aws + commands], cwd=ROOT, env=variables, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{commands}: {done.stdout[-2000:]}{done.stderr[-2000:]}\n{self.failures()}")

    def failures(self):
        try:
            events = self.root["cloudformation"].describe_stack_events(StackName=STACK)["StackEvents"]
        except ClientError as error:
            return str(error)
        failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)

    def stack(self):
        return self.root["cloudformation"].describe_stacks(StackName=STACK)["Stacks"][0]

    def output(self, name):
        return {one["OutputKey"]: one["OutputValue"] for one in self.stack()["Outputs"]}[name]

    def physical(self, logical):
        found = self.root["cloudformation"].describe_stack_resource(StackName=STACK, LogicalResourceId=logical)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def function_arn(self, logical):
        return self.root["lambda"].get_function(FunctionName=self.physical(logical))["Configuration"]["FunctionArn"]

    def make_operator(self):
        """A person who may call the API, upload, and set an alarm's state, and nothing else."""
        iam = self.root["iam"]
        iam.create_user(UserName="operator")
        api = self.api.split("/_aws/execute-api/")[1].strip("/")
        buckets = [f"arn:aws:s3:::{bucket}{below}" for bucket in BUCKETS for below in ("", "/*")]
        iam.put_user_policy(UserName="operator", PolicyName="operate", PolicyDocument=policy(
            (["execute-api:Invoke"], [f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*"]),
            (["s3:PutObject", "s3:GetObject", "s3:ListBucket"], buckets),
            (["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:SetAlarmState"], ["*"]),
        ))
        key = iam.create_access_key(UserName="operator")["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def make_users_things(self):
        """What a user has beside the stack: the pipelines' role, the smoke check, a state machine, S3's notification."""
        external_id = {"StringLike": {"sts:ExternalId": self.output("ExternalId")}}
        trust = policy((["sts:AssumeRole"], None), principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, condition=external_id)
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:lastgood-mail"
        runs = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:lastgood-mail:*"
        self.make_role(PIPELINE_ROLE, trust, (["states:StartExecution"], [machine]),
                       (["states:DescribeExecution", "states:StopExecution"], [runs]))
        trust = policy((["sts:AssumeRole"], None), principal={"Service": "states.amazonaws.com"})
        self.make_role("mail", trust, (["logs:PutLogEvents"], ["*"]))
        self.root["stepfunctions"].create_state_machine(name="lastgood-mail", definition=json.dumps(MAIL), roleArn=role("mail"))
        trust = policy((["sts:AssumeRole"], None), principal={"Service": "lambda.amazonaws.com"})
        self.make_role("smoke-check", trust,
                       (["s3:GetObject"], [f"arn:aws:s3:::{bucket}/*" for bucket in BUCKETS]),
                       (["execute-api:Invoke"], ["*"]))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            program = zipfile.ZipInfo("bootstrap")
            program.external_attr = 0o100755 << 16
            archive.writestr(program, bootstrap(self.work).read_text())
        variables = {"AWS_ENDPOINT_URL_CODEPIPELINE": self.api, "AWS_DATA_PATH": str(BOTOCORE_DATA)}
        self.root["lambda"].create_function(
            FunctionName=SMOKE_CHECK, Runtime="provided.al2023", Handler="bootstrap", Role=role("smoke-check"), Timeout=60,
            Code={"ZipFile": packed.getvalue()}, Environment={"Variables": variables})
        self.notify_of_uploads()

    def webhook_secret(self):
        """Puts a webhook, has it delivered to with a wrong signature, and gives its secret."""
        secret = "winter harbour, never logged"
        hook = {"name": "notes-push", "targetPipeline": "notes", "targetAction": "Notes", "filters": [{"jsonPath": "$.ref"}],
                "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": secret}}
        url = self.codepipeline.put_webhook(webhook=hook)["webhook"]["url"]
        path = url.split("/webhooks/")[1]
        headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={64 * '0'}"}
        delivery = urllib.request.Request(f"{self.api}webhooks/{path}", b"{}", headers)
        try:
            urllib.request.urlopen(delivery).close()
        except urllib.error.HTTPError as error:
            assert error.code == 403, error.code
        return secret

    def make_role(self, name, trust, *statements):
        self.root["iam"].create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        self.root["iam"].put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy(*statements))

    def notify_of_uploads(self):
        """S3's own notification, which names the object's version; ministack's EventBridge event does not."""
        arn = self.function_arn(SOURCE_TRIGGER)
        self.root["lambda"].add_permission(
            FunctionName=arn, StatementId="uploads", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{RELEASES}", SourceAccount=ACCOUNT)
        self.root["s3"].put_bucket_notification_configuration(Bucket=RELEASES, NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]})

    def alarm_turned(self, alarm):
        """Hands the alarm to its function in the shape that EventBridge gives it: ministack tells nobody of alarms."""
        event = self.alarm_event(alarm)
        answer = self.root["lambda"].invoke(FunctionName=self.physical(ALARM_HANDLER), Payload=json.dumps(event))
        if "FunctionError" in answer:
            raise AssertionError(f"alarm-handler: {answer['Payload'].read().decode()}")

    def alarm_event(self, alarm):
        found = self.root["cloudwatch"].describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
        since = found["StateUpdatedTimestamp"].astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
        state = {"value": found["StateValue"], "reason": found["StateReason"], "timestamp": since}
        return {
            "version": "0", "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92", "detail-type": "CloudWatch Alarm State Change",
            "source": "aws.cloudwatch", "account": ACCOUNT, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "region": REGION, "resources": [found["AlarmArn"]],
            "detail": {"alarmName": alarm, "state": state, "previousState": {**state, "value": "OK"},
                       "configuration": {"metrics": []}},
        }


def readme(command):
    """The block of commands in the README's section about an account that has this one."""
    section = (ROOT / "README.md").read_text().split("\n## In your account\n")[1].split("\n## ")[0]
    [block] = [block for block in section.split("```sh\n")[1:] if command in block.split("```")[0]]
    return [line for line in block.split("```")[0].splitlines() if line]


def policy(*statements, principal=None, condition=None):
    def one(actions, resources):
        to = {"Principal": principal} if principal else {"Resource": resources}
        return {"Effect": "Allow", "Action": actions, **to, **({"Condition": condition} if condition else {})}

    return json.dumps({"Version": "2012-10-17", "Statement": [one(*statement) for statement in statements]})
