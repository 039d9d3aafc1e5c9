"""Starts the servers that a story is told to, and stops them whatever happens."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

START_S = 60
STOP_S = 20
# Nothing of the caller's own settings may reach a server or what it starts: only these are passed on.
PASSED_ON = ("HOME", "LANG", "TERM")


def environment(**more):
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", **kept, **more}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process with a log of its own that answers at `endpoint`; a context manager."""

    def __init__(self, name, work, ready):
        self.name, self.work, self.ready = name, pathlib.Path(work), ready
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = self.work / f"{name}.log"
        self.process = None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        arguments, variables = self.command()
        with self.log.open("wb") as log:
            # A group of its own, so that functions it has started end with it.
            self.process = subprocess.Popen(arguments, env=variables, cwd=self.work, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_ready(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once; see {self.log}")
            try:
                urllib.request.urlopen(self.endpoint + self.ready, timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer; see {self.log}")

    def stop(self):
        group = self.process.pid
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(group, how)
            except ProcessLookupError:
                return
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                continue


class Local(Server):
    """Lastgood in one process, with the smoke check as the user's function."""

    def __init__(self, work, binary, functions):
        super().__init__("local", work, "/_events")
        self.binary, self.functions = binary, functions

    def command(self):
        arguments = [str(self.binary), "--port", str(self.port), "--data", str(self.work / "local")]
        for name, program in self.functions.items():
            arguments += ["--function", f"{name}={program}"]
        return arguments, environment(RUST_LOG="info")


class Ministack(Server):
    """An emulator of AWS that is nobody's we know, with signatures verified and IAM's policies enforced."""

    def __init__(self, work, python):
        super().__init__("ministack", work, "/_ministack/health")
        self.python = pathlib.Path(python)

    def command(self):
        scratch = self.work / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        variables = environment(
            AUTH="true",
            # Its own address, for it and for the functions it starts; 0.0.0.0 is its default.
            BIND_HOST="127.0.0.1", MINISTACK_HOST="127.0.0.1", GATEWAY_PORT=str(self.port), AWS_ENDPOINT_URL=self.endpoint,
            AWS_EC2_METADATA_DISABLED="true", HOME=str(scratch), TMPDIR=str(scratch),
            # Functions are processes here, also where there is Docker.
            LAMBDA_EXECUTOR="local",
        )
        return [str(self.python.parent / "ministack")], variables
