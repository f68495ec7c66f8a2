"""What `check --live` can know of the credentials without a change: who they are, what IAM says.

None of the APIs that set a count has a dry run. IAM's policy simulator answers instead, where the
credentials may ask it; where not, that is said and stands in nobody's way.
"""

from collections.abc import Mapping
from typing import Any, Final

from poolwright.actuation.aws.client import Aws
from poolwright.actuation.provider import CallError, Finding, Level

IDENTITY: Final = "sts:GetCallerIdentity"
SIMULATOR: Final = "iam:SimulatePrincipalPolicy"


async def permissions(aws: Aws, resource: str, *actions: str) -> list[Finding]:
    """Whether the credentials may do these actions on the resource (its ARN)."""
    try:
        caller = (await aws.call("sts", "get_caller_identity"))["Arn"]
    except CallError as error:
        return [_unseen(f"whether the credentials may {', '.join(actions)}", IDENTITY, error)]
    try:
        told = await aws.call(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=principal(caller),
            ActionNames=list(actions),
            ResourceArns=[resource],
        )
    except CallError as error:
        return [_unseen(f"whether {caller} may {', '.join(actions)}", SIMULATOR, error)]
    return [_finding(caller, resource, result) for result in told["EvaluationResults"]]


def principal(caller: str) -> str:
    """The role whose policies count for an assumed one; other identities are themselves.

    A role's path is not in the ARN of its sessions: for a role with a path IAM finds none.
    """
    head, _, name = caller.partition(":assumed-role/")
    if not name:
        return caller
    return f"{head.replace(':sts:', ':iam:')}:role/{name.partition('/')[0]}"


def _unseen(what: str, asked: str, error: CallError) -> Finding:
    return Finding(
        Level.OK,
        f"{what} was not seen: {asked} ended as {error.kind}",
        f"to have it seen, let the daemon reach STS and IAM, and allow it {SIMULATOR} on its own"
        " role or user",
    )


def _finding(caller: str, resource: str, result: Mapping[str, Any]) -> Finding:
    action = result["EvalActionName"]
    if result["EvalDecision"] == "allowed":
        return Finding(Level.OK, f"{caller} may {action}, says IAM")
    if missing := result.get("MissingContextValues"):
        return Finding(
            Level.OK,
            f"whether {caller} may {action} hangs on conditions that IAM does not work out here:"
            f" {', '.join(missing)}",
        )
    return Finding(
        Level.PROBLEM,
        f"{caller} may not {action}, says IAM ({result['EvalDecision']})",
        f"allow {action} on {resource}",
    )
