"""The shop's smoke check: a Lambda function of the user's, which a pipeline invokes after a deploy.

It takes the release from the artifact store, wants an appspec.yml in it, looks at what the site's bucket serves, and reports to
the pipeline through boto3. It would do the same for CodePipeline. It is a custom runtime: it asks the Lambda Runtime API for work.
"""

import io
import json
import os
import urllib.request
import zipfile

import boto3

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def complaint(s3, job):
    """What is wrong with the release, or None."""
    at = job["data"]["inputArtifacts"][0]["location"]["s3Location"]
    artifact = s3.get_object(Bucket=at["bucketName"], Key=at["objectKey"])["Body"].read()
    site = job["data"]["actionConfiguration"]["configuration"]["UserParameters"]
    with zipfile.ZipFile(io.BytesIO(artifact)) as release:
        if "appspec.yml" not in release.namelist():
            return "the release has no appspec.yml"
        if s3.get_object(Bucket=site, Key="index.html")["Body"].read() != release.read("index.html"):
            return f"{site} does not serve the release's page"
    return None


def check(job):
    problem = complaint(boto3.client("s3"), job)
    codepipeline = boto3.client("codepipeline")
    if problem:
        codepipeline.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": problem})
    else:
        codepipeline.put_job_success_result(jobId=job["id"], executionDetails={"summary": "The site serves it"})


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request) as response:
        return response.read()


def main():
    while True:
        with urllib.request.urlopen(f"{RUNTIME}/next") as response:
            invocation = response.headers["Lambda-Runtime-Aws-Request-Id"]
            event = json.load(response)
        try:
            check(event["CodePipeline.job"])
            post(f"{RUNTIME}/{invocation}/response", {})
        except Exception as error:  # whatever it is, Lambda has to hear of it, and invokes the function again
            post(f"{RUNTIME}/{invocation}/error", {"errorType": type(error).__name__, "errorMessage": str(error)})


main()
