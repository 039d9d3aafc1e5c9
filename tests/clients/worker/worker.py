#!/usr/bin/env python3
"""A job worker: it does the work of a custom action, wherever it runs, by asking for it.

The work here is real, if small. The input artifact is a zip of HTML pages. The worker checks that every link between
them leads somewhere, and packs the pages again with a list of their SHA-256 sums. It takes two jobs for that, to show how
long work is done: the first one ends with a continuation token, and the second one begins with it.

    worker.py PROJECT          does jobs of that project until it is ended (SIGTERM, Ctrl-C)

It finds the endpoint and its own keys as every AWS client does: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
"""

import hashlib
import html.parser
import io
import posixpath
import sys
import time
import zipfile

import boto3
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

ACTION_TYPE = {"category": "Build", "owner": "Custom", "provider": "SiteCheck", "version": "1"}
# As often as this a worker asks while there is nothing to do. A job that is continued waits for the next time, too.
POLL_EVERY_S = 1
# Pages as text of at most this many bytes; what a zip claims to hold can be anything.
PAGES_BYTES_MAX = 50 * 1024 * 1024

# The service is away, or too busy: to be tried again.
UNREACHABLE = (ClientError, ConnectionError, HTTPClientError)

codepipeline = boto3.client("codepipeline")


def main(project):
    while True:
        try:
            polled = codepipeline.poll_for_jobs(
                actionTypeId=ACTION_TYPE, maxBatchSize=5, queryParam={"Project": project}
            )
            for job in polled["jobs"]:
                take(job)
        except UNREACHABLE as error:
            # Jobs that were not acknowledged are offered again, here or to another worker.
            print(f"worker: {error}", file=sys.stderr, flush=True)
        time.sleep(POLL_EVERY_S)


def take(job):
    """Acknowledges a job and does it."""
    try:
        status = codepipeline.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"]
    except codepipeline.exceptions.InvalidNonceException:
        return  # It took too long to come here, and another worker has the job.
    if status != "InProgress":
        return  # Somebody stopped the execution, or rolled the stage back.
    try:
        work(job["id"], job["data"])
    except BrokenPages as problem:
        fail(job["id"], "JobFailed", str(problem))
    except zipfile.BadZipFile as problem:
        fail(job["id"], "ConfigurationError", f"The input artifact is not a zip of pages: {problem}")
    except UNREACHABLE as problem:
        fail(job["id"], "SystemUnavailable", f"The artifacts cannot be reached: {problem}")


def answer(operation, **members):
    """Answers a job. Once it was acknowledged nobody else does, so this does not give up while the service is away."""
    while True:
        try:
            return operation(**members)
        except UNREACHABLE as error:
            print(f"worker: {error}", file=sys.stderr, flush=True)
            if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                return None  # Refused: the answer before got through after all, or the execution was stopped.
            time.sleep(POLL_EVERY_S)


def work(job_id, data):
    execution = data["pipelineContext"]["pipelineExecutionId"]
    pages = read_pages(data)
    if "continuationToken" not in data:
        check_links(pages)
        # Nothing is kept here between the two jobs, so any worker can do the second one.
        answer(
            codepipeline.put_job_success_result,
            jobId=job_id,
            continuationToken="links are checked",
            executionDetails={
                "summary": f"All links of {len(pages)} pages lead somewhere",
                "externalExecutionId": execution[:13],
                "percentComplete": 50,
            },
        )
        return
    sums = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in sorted(pages.items()))
    write_pages(data, {**pages, "SHA256SUMS": sums.encode()})
    digest = hashlib.sha256(sums.encode()).hexdigest()[:12]
    answer(
        codepipeline.put_job_success_result,
        jobId=job_id,
        currentRevision={"revision": digest, "changeIdentifier": digest},
        executionDetails={"summary": f"Packed {len(pages)} pages as {digest}", "percentComplete": 100},
        # Later actions refer to these as #{Namespace.Digest} and #{Namespace.Pages}.
        outputVariables={"Digest": digest, "Pages": str(len(pages))},
    )


def fail(job_id, kind, message):
    details = {"type": kind, "message": message[:5000]}
    answer(codepipeline.put_job_failure_result, jobId=job_id, failureDetails=details)


# --- the artifacts, by the keys that came with the job ------------------------------------------------------------------


def artifact_store(data):
    keys = data["artifactCredentials"]
    return boto3.client(
        "s3",
        aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
        aws_session_token=keys["sessionToken"],
    )


def place(artifact):
    location = artifact["location"]["s3Location"]
    return {"Bucket": location["bucketName"], "Key": location["objectKey"]}


def read_pages(data):
    """The files of the input artifact, by name."""
    body = artifact_store(data).get_object(**place(data["inputArtifacts"][0]))["Body"].read()
    pages, size = {}, 0
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for entry in archive.infolist():
            size += entry.file_size
            if size > PAGES_BYTES_MAX:
                raise BrokenPages(f"The pages take more than {PAGES_BYTES_MAX} bytes")
            if not entry.is_dir():
                pages[entry.filename] = archive.read(entry)
    return pages


def write_pages(data, pages):
    """Makes the output artifact. Made twice, it is the same."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(pages.items()):
            archive.writestr(zipfile.ZipInfo(name), text)
    encryption = {}
    if "encryptionKey" in data:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": data["encryptionKey"]["id"]}
    artifact_store(data).put_object(**place(data["outputArtifacts"][0]), Body=packed.getvalue(), **encryption)


# --- the work itself ---------------------------------------------------------------------------------------------------


class BrokenPages(Exception):
    """What is wrong with the pages, for the people who read the pipeline's history."""


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.targets = []

    def handle_starttag(self, tag, attrs):
        self.targets += [value for name, value in attrs if name in ("href", "src") and value]


def check_links(pages):
    broken = []
    for name, text in pages.items():
        if not name.endswith(".html"):
            continue
        links = Links()
        links.feed(text.decode(errors="replace"))
        for target in links.targets:
            path = target.split("#")[0].split("?")[0]
            if not path or ":" in path or path.startswith("//"):
                continue  # Within the page, or to other sites.
            at = path.lstrip("/") if path.startswith("/") else posixpath.join(posixpath.dirname(name), path)
            if posixpath.normpath(at) not in pages:
                broken.append(f"{name} links to {target}")
    if broken:
        raise BrokenPages("; ".join(broken))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        pass
