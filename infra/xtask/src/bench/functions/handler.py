"""What bench functions compares ours with: a handler in Python that reads one item with boto3, as small as it gets."""

import json
import os
import urllib.request

import boto3

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
dynamodb = boto3.client("dynamodb")


def handle(_event):
    key = {"PK": {"S": "nobody"}, "SK": {"S": "nothing"}}
    return dynamodb.get_item(TableName=os.environ["LASTGOOD_TABLE"], Key=key, ConsistentRead=True).get("Item")


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        invocation = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    answer = json.dumps(handle(event)).encode()
    urllib.request.urlopen(urllib.request.Request(f"{RUNTIME}/{invocation}/response", answer, method="POST")).close()
