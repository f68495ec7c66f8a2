"""What all AWS providers share: errors and their meanings, credentials, nothing asked twice."""

import asyncio
import contextlib
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.aws_world import ACCESS_KEY, SECRET_KEY, imitated, moto
from tests.contract.fake_aws import Raw, Refusal
from tests.contract.harness import rule

from poolwright.actuation.aws.client import Aws
from poolwright.actuation.aws.permissions import SIMULATOR, permissions, principal
from poolwright.actuation.aws.target import AwsTarget
from poolwright.actuation.provider import (
    Conflict,
    Gone,
    Invalid,
    Level,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.aws_autoscaling import AwsAutoScalingProvider
from poolwright.actuation.targets.aws_autoscaling import AwsAutoScalingTarget
from poolwright.actuation.targets.aws_eks import AwsEksTarget
from poolwright.actuation.targets.aws_sagemaker import AwsSageMakerTarget
from poolwright.errors import SettingsError
from poolwright.settings import Settings

ARN = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/chat"
NOBODY_HOME = "http://127.0.0.1:9"


@contextlib.asynccontextmanager
async def asked(folder, patch, target=None, **answers):
    """The imitation and a way to call it as providers do."""
    async with imitated(folder, patch, **answers) as fake:
        aws = Aws(target or AwsTarget(), "group chat")
        try:
            yield fake, aws
        finally:
            await aws.close()


async def set_count(aws):
    await aws.call(
        "autoscaling", "set_desired_capacity", AutoScalingGroupName="chat", DesiredCapacity=3
    )


async def set_nodes(aws):
    await aws.call(
        "eks",
        "update_nodegroup_config",
        clusterName="inference",
        nodegroupName="chat",
        scalingConfig={"desiredSize": 3},
    )


async def set_variant(aws):
    await aws.call(
        "sagemaker",
        "update_endpoint_weights_and_capacities",
        EndpointName="chat",
        DesiredWeightsAndCapacities=[{"VariantName": "h100", "DesiredInstanceCount": 3}],
    )


WRITES = {
    "SetDesiredCapacity": set_count,
    "UpdateNodegroupConfig": set_nodes,
    "UpdateEndpointWeightsAndCapacities": set_variant,
}


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal("Throttling", "Rate exceeded"), Throttled),
        (Refusal("ThrottlingException", status=429), Throttled),
        (Refusal("RequestLimitExceeded", status=503), Throttled),
        (Refusal("TooManyRequestsException", status=429), Throttled),
        (Refusal("ResourceInUseException", "an update is in progress", 409), Throttled),
        (Refusal("ScalingActivityInProgress"), Throttled),
        (
            Refusal("ValidationException", 'Cannot update in-progress endpoint "arn:aws:x".'),
            Throttled,
        ),
        (Refusal("ResourceContention", "a pending update", 500), Conflict),
        (Refusal("ConflictException", status=409), Conflict),
        (Refusal("InsufficientInstanceCapacity", "no p5.48xlarge", 500), NoCapacity),
        (Refusal("ResourceLimitExceeded", "the account-level service limit"), NoCapacity),
        (Refusal("ServiceQuotaExceededException", status=402), NoCapacity),
        (Refusal("AccessDenied", status=403), Unauthorised),
        (Refusal("AccessDeniedException", "is not authorized to perform"), Unauthorised),
        (Refusal("OptInRequired", status=403), Unauthorised),
        (Refusal("ResourceNotFoundException", status=404), Gone),
        (Refusal("ValidationError", "AutoScalingGroup name not found - chat"), Gone),
        (Refusal("ValidationException", 'Could not find endpoint "arn:aws:x".'), Gone),
        (Refusal("ValidationError", "New SetDesiredCapacity value 30 is above max"), Invalid),
        (Refusal("InvalidParameterException"), Invalid),
        (Refusal("InternalFailure", status=500), Unreachable),
        (Refusal("ServiceUnavailable", status=503), Unreachable),
        (Refusal("ServerException", status=500), Unreachable),
        (Raw(500, b"<!doctype html><title>500</title>"), Unreachable),
        (Raw(502, b"<html>bad gateway</html>"), Unreachable),
        (Raw(200, b"half an ans"), Unreachable),
        (Raw(200, b""), Unreachable),
    ],
    ids=lambda value: getattr(value, "code", getattr(value, "kind", "raw")),
)
async def test_each_error_has_its_meaning_and_is_asked_once(
    operation, refusal, kind, tmp_path, monkeypatch
):
    async with asked(tmp_path, monkeypatch, **{operation: refusal}) as (fake, aws):
        with pytest.raises(kind, match="group chat in eu-west-1") as caught:
            await WRITES[operation](aws)
        assert type(caught.value) is kind
        assert len(fake.called(operation)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Refusal("Throttling", retry_after="7", status=400),
        Raw(429, b"slow down", {"retry-after": "7"}),
        Raw(503, b"<html>", {"retry-after": "7"}),
    ],
)
async def test_patience_that_is_asked_for_is_told(answer, tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch, SetDesiredCapacity=answer) as (_, aws):
        with pytest.raises(Throttled) as caught:
            await set_count(aws)
        assert caught.value.retry_after_s == 7


async def test_nobody_there_is_unreachable(tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch) as (_, aws):
        monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY_HOME)
        with pytest.raises(Unreachable, match="check the network"):
            await set_count(aws)


# --- credentials ---------------------------------------------------------------------------

STALE = ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"]


def write_credentials(folder, access_key):
    (folder / "aws-credentials").write_text(
        f"[default]\naws_access_key_id = {access_key}\n"
        f"aws_secret_access_key = secret-{access_key}\n"
    )


def from_file(folder, patch):
    """The environment's keys go before those of a file."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    write_credentials(folder, "AKIDOLD")


@pytest.mark.parametrize("code", STALE)
async def test_credentials_that_expired_are_read_anew_once(code, tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch, SetDesiredCapacity={}) as (fake, _):
        from_file(tmp_path, monkeypatch)
        aws = Aws(AwsTarget(), "group chat")
        await set_count(aws)
        write_credentials(tmp_path, "AKIDNEW")
        fake.once["SetDesiredCapacity"] = [Refusal(code, status=403)]
        await set_count(aws)
        await set_count(aws)
        keys = [call.access_key for call in fake.calls]
        assert keys == ["AKIDOLD", "AKIDOLD", "AKIDNEW", "AKIDNEW"]
        await aws.close()


@pytest.mark.parametrize("code", STALE)
async def test_credentials_that_stay_expired_are_unauthorised(code, tmp_path, monkeypatch):
    refusal = Refusal(code, "the token has expired", 403)
    async with asked(tmp_path, monkeypatch, SetDesiredCapacity=refusal) as (fake, aws):
        with pytest.raises(Unauthorised, match=code):
            await set_count(aws)
        assert len(fake.calls) == 2


async def test_no_credentials_are_unauthorised_and_say_what_to_do(tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch) as (fake, _):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        aws = Aws(AwsTarget(), "group chat")
        with pytest.raises(Unauthorised, match="give the daemon AWS credentials"):
            await set_count(aws)
        assert fake.calls == []
        await aws.close()


async def test_what_a_credential_process_prints_is_not_told(tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch) as (_, _):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        command = "sh -c 'echo hunter2hunter2 >&2; exit 1'"
        (tmp_path / "aws-config").write_text(f"[default]\ncredential_process = {command}\n")
        aws = Aws(AwsTarget(), "group chat")
        with pytest.raises(Unauthorised, match="custom-process") as caught:
            await set_count(aws)
        assert "hunter2" not in repr(caught.value)
        assert caught.value.__cause__ is None
        await aws.close()


async def test_a_profile_chooses_region_and_keys(tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch, SetDesiredCapacity={}) as (fake, _):
        from_file(tmp_path, monkeypatch)
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        with (tmp_path / "aws-credentials").open("a") as file:
            file.write("[gpus]\naws_access_key_id = AKIDGPUS\naws_secret_access_key = s\n")
        (tmp_path / "aws-config").write_text("[profile gpus]\nregion = us-west-2\n")
        aws = Aws(AwsTarget(profile="gpus"), "group chat")
        await set_count(aws)
        assert aws.where == "group chat in us-west-2"
        assert fake.calls[0].access_key == "AKIDGPUS"
        await aws.close()


async def test_web_identity_is_taken_from_the_environment(tmp_path, monkeypatch):
    async with moto(tmp_path, monkeypatch) as (proxy, _):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        (tmp_path / "token").write_text("a.web.token")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/poolwright")
        aws = Aws(AwsTarget(), "group chat")
        caller = await aws.call("sts", "get_caller_identity")
        assert ":assumed-role/poolwright/" in caller["Arn"]
        assert proxy.count(lambda request: b"AssumeRoleWithWebIdentity" in request) == 1
        await aws.close()


def test_a_missing_region_says_where_to_write_it(tmp_path, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="write `region` in the target, or set AWS_REGION"):
        Aws(AwsTarget(), "group chat")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert Aws(AwsTarget(), "group chat").where == "group chat in eu-central-1"
    assert Aws(AwsTarget(region="us-east-2"), "group chat").where == "group chat in us-east-2"


def test_an_unknown_profile_is_a_wrong_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="correct `profile` of the target"):
        Aws(AwsTarget(profile="nobodys", region="eu-west-1"), "group chat")


# --- secrets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("SignatureDoesNotMatch", "check the secret key and this machine's clock"),
        ("AccessDenied", "what its policy allows"),
    ],
)
async def test_secrets_are_in_no_error_and_no_log(code, remedy, tmp_path, monkeypatch, caplog):
    token = "session-token-of-tests"
    caplog.set_level(logging.DEBUG)
    quoted = f"The Canonical String should have been x-amz-security-token:{token} {SECRET_KEY}"
    refusal = Refusal(code, quoted, 403)
    async with asked(tmp_path, monkeypatch, SetDesiredCapacity=refusal) as (fake, _):
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
        aws = Aws(AwsTarget(), "group chat")
        with pytest.raises(Unauthorised, match=remedy) as caught:
            await set_count(aws)
        await aws.close()
        assert fake.calls[0].access_key == ACCESS_KEY
    for text in (str(caught.value), repr(caught.value), caplog.text, repr(aws)):
        assert token not in text
        assert SECRET_KEY not in text


# --- what check --live is told -------------------------------------------------------------


def simulated(decision, missing=()):
    result = {
        "EvalActionName": "autoscaling:SetDesiredCapacity",
        "EvalResourceName": ARN,
        "EvalDecision": decision,
        "MissingContextValues": list(missing),
    }
    return {"EvaluationResults": [result]}


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (simulated("allowed"), Level.OK, "user/poolwright may autoscaling:SetDesiredCapacity"),
        (simulated("implicitDeny"), Level.PROBLEM, "may not autoscaling:SetDesiredCapacity"),
        (simulated("explicitDeny"), Level.PROBLEM, "explicitDeny"),
        (simulated("implicitDeny", ["aws:ResourceTag/team"]), Level.OK, "aws:ResourceTag/team"),
        (Refusal("AccessDenied", status=403), Level.OK, "ended as unauthorised"),
    ],
)
async def test_iam_says_what_cannot_be_tried(answer, level, words, tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch, SimulatePrincipalPolicy=answer) as (fake, aws):
        (finding,) = await permissions(aws, ARN, "autoscaling:SetDesiredCapacity")
        assert finding.level is level
        assert words in finding.what
        (sent,) = fake.called("SimulatePrincipalPolicy")
        assert sent["PolicySourceArn"] == "arn:aws:iam::123456789012:user/poolwright"
        assert sent["ResourceArns.member.1"] == ARN


async def test_no_way_to_sts_is_no_problem(tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch, GetCallerIdentity=Raw(502, b"")) as (_, aws):
        (finding,) = await permissions(aws, ARN, "autoscaling:SetDesiredCapacity")
        assert finding.level is Level.OK
        assert "sts:GetCallerIdentity ended as unreachable" in finding.what


def test_a_session_of_a_role_is_asked_about_as_the_role():
    session = "arn:aws:sts::123456789012:assumed-role/poolwright/i-0abc"
    assert principal(session) == "arn:aws:iam::123456789012:role/poolwright"


# --- weight --------------------------------------------------------------------------------


def test_a_daemon_without_aws_pools_loads_no_client():
    code = (
        "import sys; from poolwright.actuation.registry import targets; import poolwright.cli;"
        "targets(); print(sorted({'botocore', 'aiobotocore', 'aiohttp'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2] / "daemon"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


async def test_a_provider_that_was_never_called_closes_well(tmp_path, monkeypatch):
    async with imitated(tmp_path, monkeypatch):
        provider = AwsAutoScalingProvider(rule("aws_autoscaling", {"group": "chat"}), Settings())
        await provider.close()


async def test_calls_under_way_survive_that_another_renews_the_credentials(tmp_path, monkeypatch):
    async with asked(tmp_path, monkeypatch, SetDesiredCapacity={}) as (fake, aws):
        held = [fake.hold("SetDesiredCapacity") for _ in range(2)]
        slow = [asyncio.create_task(set_count(aws)) for _ in held]
        for _, arrived in held:
            await arrived.wait()
        fake.once["UpdateNodegroupConfig"] = [Refusal("ExpiredTokenException", status=403)]
        fake.answers["UpdateNodegroupConfig"] = {}
        await set_nodes(aws)
        held[0][0].set()
        await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        held[1][0].set()
        await asyncio.gather(*slow)
        assert len(fake.called("SetDesiredCapacity")) == 2


def test_the_policies_of_the_page_allow_what_the_providers_need_and_no_more():
    page = (Path(__file__).parents[2] / "docs" / "providers" / "aws.md").read_text()
    policies = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    *policies, simulator = [
        {action for statement in policy["Statement"] for action in statement["Action"]}
        for policy in policies
    ]
    models = (AwsAutoScalingTarget, AwsEksTarget, AwsSageMakerTarget)
    for allowed, model in zip(policies, models, strict=True):
        assert model.needs is not None
        told = " ".join(permission.partition(": ")[0] for permission in model.needs.permissions)
        assert allowed | simulator == set(re.findall(r"[a-z-]+:[A-Z]\w+", told)), model.__name__
    assert simulator == {SIMULATOR}
