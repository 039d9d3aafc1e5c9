"""Which service each client signs for: as it is, and with its setting from infra/clients/README.md.

    python3 signing.py CLIENT COMMAND..     COMMAND lists pipelines at AWS_ENDPOINT_URL; it gets the setting by LASTGOOD_SIGNING

Starts a server on a free port of the loopback interface that answers everything with an empty list and keeps what was signed.
"""

import http.server
import os
import subprocess
import sys
import threading

CLIENT_TIMEOUT_S = 120


class Recorder(http.server.BaseHTTPRequestHandler):
    scopes = []

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        # AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, ...
        authorization = self.headers["authorization"]
        self.scopes.append(authorization.split("Credential=")[1].split(",")[0].split("/")[2:])
        assert self.headers["x-amz-target"] == "CodePipeline_20150709.ListPipelines"
        body = b'{"pipelines": []}'
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def scope_of(command, settings):
    """Region, service and terminator that the command's only request is signed for."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Recorder.scopes.clear()
    own = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
    }
    try:
        subprocess.run(command, env={**os.environ, **own, **settings}, check=True, timeout=CLIENT_TIMEOUT_S,
                       stdout=subprocess.DEVNULL)
    finally:
        server.shutdown()
        server.server_close()
    assert len(Recorder.scopes) == 1, Recorder.scopes
    return Recorder.scopes[0]


def main():
    client, *command = sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    settings = {
        "AWS_DATA_PATH": os.path.normpath(f"{here}/../../infra/clients/botocore"),
        "LASTGOOD_SIGNING": "execute-api",
    }
    for given, service in [({}, "codepipeline"), (settings, "execute-api")]:
        scope = scope_of(command, given)
        expected = ["eu-central-1", service, "aws4_request"]
        assert scope == expected, f"{client} signs for {scope}, not for {expected}"
    print(f"   {client}: signs for codepipeline, and with its setting for execute-api")


main()
