"""What ministack cannot do, taken out of the deployed stack, each thing after it was seen to be there.

Everything else is as the template says. What is here is told in the end among what is not covered.
"""

import json

from story import declaration, same

# Longest a step may take here, in seconds; the story's take a few.
STEP_S = 600


def adapt(system, tell):
    refuse_no_plain_http(system)
    tell_every_source(system)
    changed = [name for name, machine in machines(system) if simplify(system, machine)]
    tell(f"adapted to ministack: the bucket's policy, a condition on events, the machines {', '.join(changed)}")


def refuse_no_plain_http(system):
    """The bucket of definitions refuses plain HTTP, and ministack speaks nothing else here."""
    bucket, s3 = system.output("BucketName"), system.root["s3"]
    [statement] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    same("what the bucket refuses", {"Bool": {"aws:SecureTransport": "false"}}, statement["Condition"])
    try:
        system.codepipeline.create_pipeline(pipeline=declaration("notes"))
    except system.codepipeline.exceptions.ClientError as error:
        same("a definition by plain HTTP", "InternalFailure", error.response["Error"]["Code"])
    else:
        raise AssertionError("a definition was stored by plain HTTP")
    s3.delete_bucket_policy(Bucket=bucket)


def tell_every_source(system):
    """Functions may tell events of source lastgood alone, by a condition that ministack does not know."""
    iam, arn = system.root["iam"], system.physical("EventsPolicy")
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    [statement] = document["Statement"]
    same("what may be told", {"StringEquals": {"events:source": "lastgood"}}, statement.pop("Condition"))
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)


def machines(system):
    for machine in system.root["stepfunctions"].list_state_machines()["stateMachines"]:
        yield machine["name"], machine["stateMachineArn"]


def simplify(system, arn):
    """Of a machine's definition: ministack ignores the output of Succeed, and takes no expression for a time limit."""
    stepfunctions = system.root["stepfunctions"]
    definition = json.loads(stepfunctions.describe_state_machine(stateMachineArn=arn)["definition"])
    if not any([simplify_state(state) for state in states(definition)]):
        return False
    stepfunctions.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))
    return True


def states(definition):
    for state in definition["States"].values():
        yield state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def simplify_state(state):
    changed = False
    if state["Type"] == "Succeed" and "Output" in state:
        state.update(Type="Pass", End=True)
        changed = True
    # A heartbeat has to be below the timeout, in whatever runs the machine.
    for limit, seconds in (("TimeoutSeconds", STEP_S), ("HeartbeatSeconds", STEP_S - 1)):
        if isinstance(state.get(limit), str):
            state[limit] = seconds
            changed = True
    return changed
