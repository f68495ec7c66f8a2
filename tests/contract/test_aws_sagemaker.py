"""Endpoint variants: the endpoint's states, updates that failed, who else sets the count."""

import contextlib
from dataclasses import replace

import pytest
from tests.contract.aws_answers import NOW, QUIET
from tests.contract.aws_world import imitated, moto
from tests.contract.fake_aws import Refusal
from tests.contract.harness import rule
from tests.contract.harnesses.aws_sagemaker import ENDPOINT, VARIANT, with_endpoint

from poolwright.actuation.provider import Gone, Invalid, Level, Throttled, Unauthorised, Unreachable
from poolwright.actuation.providers.aws_sagemaker import AwsSageMakerProvider
from poolwright.actuation.targets.aws_sagemaker import AwsSageMakerTarget
from poolwright.settings import Settings

STOCKOUT = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity"
TARGET = {"endpoint": ENDPOINT, "variant": VARIANT}


def variant(current=2, desired=2, **more):
    counts = {"CurrentInstanceCount": current, "DesiredInstanceCount": desired}
    return {"VariantName": VARIANT, **counts, **more}


def endpoint(status, *variants, **more):
    return {
        "EndpointName": ENDPOINT,
        "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/chat",
        "EndpointStatus": status,
        "CreationTime": NOW,
        "LastModifiedTime": NOW,
        "ProductionVariants": list(variants),
        **more,
    }


@contextlib.asynccontextmanager
async def provided(folder, patch, found, *, least=1, **answers):
    known = {
        "DescribeEndpoint": found,
        "UpdateEndpointWeightsAndCapacities": {"EndpointArn": "arn:aws:sagemaker:x"},
        "DescribeScalableTargets": {"ScalableTargets": []},
    }
    async with imitated(folder, patch, **{**known, **answers}) as fake:
        pool = replace(rule("aws_sagemaker", TARGET), min_replicas=least)
        provider = AwsSageMakerProvider(pool, Settings())
        yield fake, provider
        await provider.close()


@pytest.mark.parametrize(
    ("status", "current", "desired", "counts"),
    [
        ("InService", 2, 2, (2, 2, 0, 0)),
        ("Updating", 2, 5, (5, 2, 3, 0)),
        ("Updating", 5, 2, (2, 2, 0, 3)),
        ("SystemUpdating", 2, 2, (2, 2, 0, 0)),
        ("RollingBack", 2, 2, (2, 2, 0, 0)),
        ("UpdateRollbackFailed", 2, 2, (2, 2, 0, 0)),
        ("Creating", 0, 2, (2, 0, 2, 0)),
        ("Failed", 2, 2, (2, 0, 2, 0)),
        ("OutOfService", 2, 2, (2, 0, 2, 0)),
    ],
)
async def test_states_are_counted(status, current, desired, counts, tmp_path, monkeypatch):
    found = endpoint(status, variant(7, 7) | {"VariantName": "other"}, variant(current, desired))
    async with provided(tmp_path, monkeypatch, found) as (_, provider):
        report = await provider.read()
    assert (report.desired, report.ready, report.starting, report.terminating) == counts


@pytest.mark.parametrize(
    ("status", "current", "short"),
    [
        ("InService", 2, STOCKOUT),
        ("UpdateRollbackFailed", 2, STOCKOUT),
        ("Failed", 0, STOCKOUT),
        ("Updating", 2, ""),
        ("InService", 4, ""),
    ],
)
async def test_sagemaker_says_why_instances_do_not_come(
    status, current, short, tmp_path, monkeypatch
):
    found = endpoint(status, variant(current, 4), FailureReason=STOCKOUT)
    async with provided(tmp_path, monkeypatch, found) as (_, provider):
        assert (await provider.read()).short == short


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (endpoint("Deleting", variant()), Gone, "being deleted"),
        (endpoint("InService", variant() | {"VariantName": "other"}), Gone, "only other"),
        (endpoint("InService", variant(CurrentServerlessConfig={
            "MemorySizeInMB": 1024, "MaxConcurrency": 5})), Invalid, "serverless"),
        (endpoint("InService", {"VariantName": VARIANT}), Unreachable, "instance counts"),
        (endpoint("Creating"), Unreachable, "lacks variants"),
        (endpoint("Dreaming", variant()), Unreachable, "it is Dreaming"),
        ({}, Unreachable, "lacks EndpointStatus"),
        (Refusal("ValidationException", 'Could not find endpoint "arn:aws:x".'), Gone, "chat"),
    ],
)  # fmt: skip
async def test_what_cannot_be_counted_is_told(found, kind, words, tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, found) as (_, provider):
        with pytest.raises(kind, match=words):
            await provider.read()


async def test_the_order_leaves_the_weight_and_the_other_variants(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, endpoint("InService", variant())) as (fake, p):
        await p.set_replicas(3, key="a")
        (sent,) = fake.called("UpdateEndpointWeightsAndCapacities")
    wanted = [{"VariantName": VARIANT, "DesiredInstanceCount": 3}]
    assert sent == {"EndpointName": ENDPOINT, "DesiredWeightsAndCapacities": wanted}


async def test_an_update_under_way_asks_for_patience(tmp_path, monkeypatch):
    words = 'Cannot update in-progress endpoint "arn:aws:sagemaker:x".'
    answers = {"UpdateEndpointWeightsAndCapacities": Refusal("ValidationException", words)}
    found = endpoint("Updating", variant(2, 4))
    async with provided(tmp_path, monkeypatch, found, **answers) as (_, provider):
        with pytest.raises(Throttled, match="an earlier update has not ended"):
            await provider.set_replicas(3, key="a")


MANAGED = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 4}
SCALABLE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/chat/variant/h100",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "MinCapacity": 1,
    "MaxCapacity": 4,
    "RoleARN": "arn:aws:iam::123456789012:role/scaling",
    "CreationTime": NOW,
}


@pytest.mark.parametrize(
    ("found", "answers", "level", "words"),
    [
        (endpoint("Failed", variant(), FailureReason="no such image"), {},
         Level.PROBLEM, "no such image"),
        (endpoint("Updating", variant()), {}, Level.WARNING, "is Updating"),
        (endpoint("InService", variant(ManagedInstanceScaling=MANAGED)), {},
         Level.WARNING, "managed instance scaling"),
        (endpoint("InService", variant()),
         {"DescribeScalableTargets": {"ScalableTargets": [SCALABLE]}},
         Level.WARNING, "holds the variant between 1 and 4"),
        (endpoint("InService", variant()), {"DescribeScalableTargets": Refusal(
            "AccessDeniedException", "not you", 403)}, Level.WARNING, "not you"),
    ],
)  # fmt: skip
async def test_a_look_finds(found, answers, level, words, tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, found, **QUIET, **answers) as (fake, provider):
        (finding,) = [x for x in await provider.inspect() if x.level is not Level.OK]
        assert fake.called("UpdateEndpointWeightsAndCapacities") == []
    assert finding.level is level
    assert words in finding.what


async def test_a_look_that_is_refused_says_why(tmp_path, monkeypatch):
    refused = Refusal("AccessDeniedException", "not you", 403)
    async with provided(tmp_path, monkeypatch, refused, **QUIET) as (_, provider):
        with pytest.raises(Unauthorised, match="not you"):
            await provider.inspect()


async def test_a_look_warns_of_zero(tmp_path, monkeypatch):
    found = endpoint("InService", variant())
    async with provided(tmp_path, monkeypatch, found, least=0, **QUIET) as (_, provider):
        (finding,) = [x for x in await provider.inspect() if x.level is not Level.OK]
    assert "inference components" in finding.what


async def test_a_look_finds_motos_own_scalable_target(tmp_path, monkeypatch):
    async with moto(tmp_path, monkeypatch) as (_, past):
        await with_endpoint(past)
        told = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity")
        named = {key: SCALABLE[key] for key in told}
        await past.call("application-autoscaling", "register_scalable_target", **named)
        provider = AwsSageMakerProvider(rule("aws_sagemaker", TARGET), Settings())
        said = [finding.what for finding in await provider.inspect()]
        await provider.close()
    assert "Application Auto Scaling holds the variant between 1 and 4" in said


def test_two_pools_of_one_variant_are_the_same_target():
    one = AwsSageMakerTarget(**TARGET)
    assert one.identity("a", "b") == one.identity("c", "d")
    assert one.identity("a", "b") != AwsSageMakerTarget(endpoint=ENDPOINT).identity("a", "b")
