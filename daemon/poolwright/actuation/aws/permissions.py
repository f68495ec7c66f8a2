"""What `check --live` can know of the credentials without a change: who they are, what IAM says.

None of the APIs that set a count has a dry run. IAM's policy simulator answers instead, where the
credentials may ask it; where not, that is said and stands in nobody's way.
"""

from collections.abc import Mapping
from typing import Any

from poolwright.actuation.aws.client import Aws
from poolwright.actuation.provider import CallError, Finding, Level


async def permissions(aws: Aws, resource: str, *actions: str) -> list[Finding]:
    """Whether the credentials may do these actions on the resource (its ARN)."""
    asked = "sts:GetCallerIdentity"
    try:
        caller = (await aws.call("sts", "get_caller_identity"))["Arn"]
        asked = "iam:SimulatePrincipalPolicy"
        told = await aws.call(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=principal(caller),
            ActionNames=list(actions),
            ResourceArns=[resource],
        )
    except CallError as error:
        who = "" if asked.startswith("sts") else f" by {caller}"
        return [
            Finding(
                Level.OK,
                f"whether {', '.join(actions)} is allowed{who} was not seen: {asked} ended"
                f" as {error.kind}",
                "to have it seen, allow iam:SimulatePrincipalPolicy on the own role or user",
            )
        ]
    return [_finding(caller, resource, result) for result in told["EvaluationResults"]]


def principal(caller: str) -> str:
    """The role whose policies count for an assumed one; other identities are themselves.

    A role's path is not in the ARN of its sessions: for a role with a path IAM finds none.
    """
    head, _, name = caller.partition(":assumed-role/")
    if not name:
        return caller
    return f"{head.replace(':sts:', ':iam:')}:role/{name.partition('/')[0]}"


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
