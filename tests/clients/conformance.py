#!/usr/bin/env python3
"""Every constraint of the service model, broken one at a time, against a running endpoint.

    tests/clients/conformance.py [ENDPOINT]     default: $AWS_ENDPOINT_URL

Reads CodePipeline's service model from the installed botocore. For every operation it derives each input that breaks one
constraint, sends it in both protocols, and expects the ValidationException with AWS's text; then the smallest and the
largest valid input, which have to get past validation. Nothing of the server's own tables is used here.

Needs botocore and cbor2. Ends with 0 only if every answer was the expected one.
"""

import http.client
import json
import math
import os
import re
import sys
import urllib.parse

import botocore
import botocore.session
import cbor2

MISMATCHES_SHOWN = 20
# Values of the model's patterns; whatever a pattern is, the first that fits it whole is taken.
SEEDS = [
    "a",
    "1",
    "11111111-1111-1111-1111-111111111111",
    "111122223333",
    "AWS",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:lambda:us-east-1:111122223333:function:f",
    "arn:aws:codepipeline:us-east-1:111122223333:p",
]
# One of these breaks any pattern but `.*`; what breaks that is a line's end.
STRANGERS = ["ä", " ~ ", "a\nb"]
NOT_NULL = "Member must not be null"


def fits(pattern, text):
    """Whether the whole of `text` matches, as Java's matches() does."""
    return re.fullmatch(pattern, text) is not None


def text_of(shape, length):
    """A string that satisfies the shape's pattern, of `length` characters if the pattern has room for them."""
    values = shape.enum
    if values:
        return values[0]
    pattern = shape.metadata.get("pattern", ".*")
    seed = next(seed for seed in SEEDS if fits(pattern, seed))
    longer = seed + seed[-1] * (length - len(seed))
    return longer if fits(pattern, longer) else seed


def constraints(shape):
    """The shape's constraints on a scalar, worded as in an answer about a list's members or a map's values."""
    word = "value" if shape.type_name in ("integer", "long") else "length"
    limits = shape.metadata
    found = []
    if "max" in limits:
        found.append(f"Member must have {word} less than or equal to {limits['max']}")
    if "min" in limits:
        found.append(f"Member must have {word} greater than or equal to {limits['min']}")
    if "pattern" in limits:
        found.append(f"Member must satisfy regular expression pattern: {limits['pattern']}")
    if getattr(shape, "enum", None):
        found.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    return found


def least(shape):
    """The smallest valid value."""
    kind, low = shape.type_name, shape.metadata.get("min", 0)
    if kind == "structure":
        return {name: least(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [least(shape.member) for _ in range(low)]
    if kind == "map":
        return entries(shape, low, least)
    return scalar(shape, max(low, 1))


def most(shape):
    """The largest valid value: every member, and lengths at their limits. Long lists stay shorter."""
    kind, high = shape.type_name, shape.metadata.get("max", 2)
    if kind == "structure":
        return {name: most(member) for name, member in shape.members.items()}
    if kind == "list":
        return [most(shape.member) for _ in range(min(high, 3))]
    if kind == "map":
        return entries(shape, min(high, 3), most)
    return scalar(shape, high)


def entries(shape, count, value_of):
    width = len(str(count))
    low = max(shape.key.metadata.get("min", 1), 1)
    names = [text_of(shape.key, low)] if count == 1 else [f"k{n:0{max(width, low)}}" for n in range(count)]
    return {name: value_of(shape.value) for name in names}


def scalar(shape, length):
    kind = shape.type_name
    if kind == "boolean":
        return True
    if kind == "timestamp":
        return 1_427_245_911.525
    if kind in ("integer", "long"):
        return min(max(length, shape.metadata.get("min", 0)), shape.metadata.get("max", length))
    return text_of(shape, length)


def broken(shape):
    """Scalars that break a constraint, each with the texts of what it breaks."""
    limits, kind = shape.metadata, shape.type_name
    if kind in ("integer", "long"):
        if "max" in limits:
            yield limits["max"] + 1, [f"Member must have value less than or equal to {limits['max']}"]
        if "min" in limits:
            yield limits["min"] - 1, [f"Member must have value greater than or equal to {limits['min']}"]
    if kind != "string":
        return
    pattern = limits.get("pattern")
    like = f"Member must satisfy regular expression pattern: {pattern}"
    if "max" in limits:
        value = text_of(shape, limits["max"] + 1)
        assert len(value) == limits["max"] + 1, shape
        yield value, [f"Member must have length less than or equal to {limits['max']}"]
    if limits.get("min", 0) > 0:
        value = text_of(shape, limits["min"])[: limits["min"] - 1]
        texts = [f"Member must have length greater than or equal to {limits['min']}"]
        yield value, texts + ([like] if pattern and not fits(pattern, value) else [])
    if pattern:
        low = limits.get("min", 0)
        stranger = next(text for text in STRANGERS if not fits(pattern, text) and len(text) >= min(low, 1))
        yield stranger * math.ceil(low / len(stranger) or 1), [like]
    if shape.enum:
        yield "NotOneOfThem", [f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"]


def item(subject, path, constraint):
    return f"Value {subject}at '{path}' failed to satisfy constraint: {constraint}"


def violations(shape, path="", secret=False, place=lambda value: value):
    """Inputs that break one constraint somewhere in `shape`, each with the items its answer lists.

    `place` puts a value for this shape into an otherwise valid input.
    """
    secret = secret or bool(shape.metadata.get("sensitive"))
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            inner = f"{path}.{name}" if path else name

            def put(value, name=name):
                return place({**least(shape), name: value})

            if name in shape.required_members:
                yield put(None), [item("null ", inner, NOT_NULL)]
            yield from violations(member, inner, secret, put)
    elif shape.type_name == "list":
        yield from lengths(shape, path, lambda count: place([least(shape.member) for _ in range(count)]))
        yield from parts(shape, path, secret, place)
    elif shape.type_name == "map":
        yield from lengths(shape, path, lambda count: place(entries(shape, count, least)))
        yield from pairs(shape, path, secret, place)
    else:
        for value, texts in broken(shape):
            subject = "" if secret else f"'{value}' "
            yield place(value), [item(subject, path, text) for text in texts]


def lengths(shape, path, of):
    limits = shape.metadata
    if "max" in limits:
        text = f"Member must have length less than or equal to {limits['max']}"
        yield of(limits["max"] + 1), [item("", path, text)]
    if limits.get("min", 0) > 0:
        text = f"Member must have length greater than or equal to {limits['min']}"
        yield of(limits["min"] - 1), [item("", path, text)]


def parts(shape, path, secret, place):
    """Violations in a list's members."""
    member, low = shape.member, max(shape.metadata.get("min", 0), 1)
    rest = [least(member) for _ in range(low - 1)]
    yield place([None, *rest]), [item("null ", f"{path}.1.member", NOT_NULL)]
    if member.type_name in ("structure", "list", "map"):
        yield from violations(member, f"{path}.1.member", secret, lambda value: place([value, *rest]))
    else:
        every = f"Member must satisfy constraint: [{', '.join(constraints(member))}]"
        for value, _ in broken(member):
            yield place([value, *rest]), [item("", path, every)]


def pairs(shape, path, secret, place):
    """Violations in a map's keys and values."""
    key = text_of(shape.key, max(shape.key.metadata.get("min", 1), 1))
    every = f"Map keys must satisfy constraint: [{', '.join(constraints(shape.key))}]"
    for value, _ in broken(shape.key):
        yield place({value: least(shape.value)}), [item("", path, every)]
    yield place({key: None}), [item("null ", f"{path}.{key}.member", NOT_NULL)]
    if shape.value.type_name in ("structure", "list", "map"):
        yield from violations(shape.value, f"{path}.{key}.member", secret, lambda value: place({key: value}))
    else:
        every = f"Map value must satisfy constraint: [{', '.join(constraints(shape.value))}]"
        for value, _ in broken(shape.value):
            yield place({key: value}), [item("", path, every)]


class Endpoint:
    """One connection, speaking both protocols with no client library between."""

    def __init__(self, url, service):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
        self.target = service.metadata["targetPrefix"]

    def json(self, operation, value):
        headers = {"X-Amz-Target": f"{self.target}.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        status, body = self.post("/", headers, json.dumps(value).encode())
        return status, json.loads(body or b"{}")

    def cbor(self, operation, value):
        path = f"/service/{self.target}/operation/{operation}"
        headers = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor", "Accept": "application/cbor"}
        status, body = self.post(path, headers, cbor2.dumps(value))
        return status, cbor2.loads(body) if body else {}

    def post(self, path, headers, body):
        self.connection.request("POST", path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def check_violations(service, sends, mismatches):
    count = 0
    for name in service.operation_names:
        shape = service.operation_model(name).input_shape
        for value, items in violations(shape):
            count += 1
            plural = "s" if len(items) > 1 else ""
            expected = 400, "ValidationException", f"{len(items)} validation error{plural} detected: {'; '.join(items)}"
            for protocol, send in sends.items():
                status, body = send(name, value)
                found = status, body.get("__type", "").split("#")[-1], body.get("message")
                if found != expected:
                    mismatches.append(f"{name} ({protocol}) {value!r:.300}\n  expected {expected}\n  found    {found}")
    return count


def check_valid(service, sends, mismatches):
    count = 0
    for name in service.operation_names:
        operation = service.operation_model(name)
        declared = {error.name for error in operation.error_shapes}
        for of in (least, most):
            for protocol, send in sends.items():
                count += 1
                status, body = send(name, of(operation.input_shape))
                kind = body.get("__type", "").split("#")[-1]
                refused_by_model = kind == "ValidationException" and " detected: " in body.get("message", "")
                if status >= 500 or refused_by_model or (status != 200 and kind not in declared):
                    mismatches.append(f"{name} ({protocol}), valid input\n  found {status} {kind}: {body.get('message')}")
    return count


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ["AWS_ENDPOINT_URL"]
    service = botocore.session.get_session().get_service_model("codepipeline")
    endpoint = Endpoint(url, service)
    sends = {"JSON 1.1": endpoint.json, "RPC v2 CBOR": endpoint.cbor}
    mismatches = []
    broken_count = check_violations(service, sends, mismatches)
    valid_count = check_valid(service, sends, mismatches)
    for mismatch in mismatches[:MISMATCHES_SHOWN]:
        print(mismatch)
    print(
        f"botocore {botocore.__version__}: {len(service.operation_names)} operations, {broken_count} inputs that break one "
        f"constraint, each in {len(sends)} protocols; {valid_count} valid requests; {len(mismatches)} mismatches"
    )
    # A derivation that finds nothing to send would pass anything.
    if mismatches or len(service.operation_names) != 44 or broken_count < 1000:
        sys.exit(1)


if __name__ == "__main__":
    main()
