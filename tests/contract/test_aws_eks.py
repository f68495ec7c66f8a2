"""Managed node groups: health, refusals while an update runs, and the groups behind them."""

import contextlib

import pytest
from tests.contract.aws_answers import (
    POLICY,
    QUIET,
    STOCKOUT,
    a_group,
    activity,
    instance,
)
from tests.contract.aws_world import imitated
from tests.contract.fake_aws import Refusal
from tests.contract.harness import rule

from poolwright.actuation.provider import Gone, Invalid, Level, Throttled, Unauthorised, Unreachable
from poolwright.actuation.providers.aws_eks import AwsEksProvider
from poolwright.actuation.targets.aws_eks import AwsEksTarget
from poolwright.settings import Settings

BEHIND = [{"name": "eks-chat-1"}]


def node_group(desired=2, status="ACTIVE", *issues, behind=BEHIND):
    return {
        "nodegroupName": "chat",
        "nodegroupArn": "arn:aws:eks:eu-west-1:123456789012:nodegroup/inference/chat/1",
        "clusterName": "inference",
        "status": status,
        "scalingConfig": {"minSize": 0, "maxSize": 9, "desiredSize": desired},
        "resources": {"autoScalingGroups": list(behind)} if behind is not None else {},
        "health": {"issues": list(issues)},
    }


def issue(code, message):
    return {"code": code, "message": message, "resourceIds": ["eks-chat-1"]}


def behind(desired, *instances, name="eks-chat-1", **more):
    return a_group(desired, *instances, **more) | {"AutoScalingGroupName": name}


@contextlib.asynccontextmanager
async def provided(folder, patch, found, *groups, **answers):
    groups = groups or (behind(2, instance(), instance("i-2")),)
    known = {
        "DescribeNodegroup": {"nodegroup": found},
        "DescribeAutoScalingGroups": {"AutoScalingGroups": list(groups)},
        "DescribeScalingActivities": {"Activities": []},
        "UpdateNodegroupConfig": {"update": {"id": "1", "status": "InProgress"}},
    }
    async with imitated(folder, patch, **{**known, **answers}) as fake:
        target = {"cluster": "inference", "nodegroup": "chat"}
        provider = AwsEksProvider(rule("aws_eks", target), Settings())
        yield fake, provider
        await provider.close()


async def test_nodes_are_counted_over_all_groups_behind(tmp_path, monkeypatch):
    found = node_group(4, behind=[{"name": "one"}, {"name": "two"}])
    groups = (
        behind(2, instance(), instance("i-2", "Pending"), name="one"),
        behind(2, instance("i-3"), instance("i-4", "Terminating:Wait"), name="two"),
    )
    async with provided(tmp_path, monkeypatch, found, *groups) as (fake, provider):
        report = await provider.read()
        (asked,) = fake.called("DescribeAutoScalingGroups")
    counts = (report.desired, report.ready, report.starting, report.terminating)
    assert counts == (4, 2, 2, 1)
    names = {value for key, value in asked.items() if key.startswith("AutoScalingGroupNames")}
    assert names == {"one", "two"}


ISSUES = [
    issue("AsgInstanceLaunchFailures", "Could not launch On-Demand Instances."),
    issue("InsufficientFreeAddresses", "Subnet has not enough addresses."),
]


@pytest.mark.parametrize(
    ("found", "activities", "short"),
    [
        (node_group(), [], ""),
        (node_group(2, "UPDATING"), [], ""),
        (node_group(2, "DEGRADED"), [], "the node group is DEGRADED"),
        (node_group(2, "ACTIVE", ISSUES[1]), [],
         "InsufficientFreeAddresses: Subnet has not enough addresses."),
        (node_group(2, "DEGRADED", *ISSUES), [],
         "; ".join(f"{one['code']}: {one['message']}" for one in ISSUES)),
        (node_group(), [activity("Failed", STOCKOUT)], STOCKOUT),
    ],
)  # fmt: skip
async def test_eks_says_why_nodes_do_not_come(found, activities, short, tmp_path, monkeypatch):
    answers = {"DescribeScalingActivities": {"Activities": activities}}
    group = behind(2, instance())
    async with provided(tmp_path, monkeypatch, found, group, **answers) as (_, provider):
        assert (await provider.read()).short == short


async def test_an_ailing_group_that_has_its_nodes_is_not_short(tmp_path, monkeypatch):
    found = node_group(2, "DEGRADED", *ISSUES)
    async with provided(tmp_path, monkeypatch, found) as (_, provider):
        assert (await provider.read()).short == ""


async def test_a_node_group_that_is_being_made_has_no_node_yet(tmp_path, monkeypatch):
    found = node_group(2, "CREATING", behind=None)
    async with provided(tmp_path, monkeypatch, found) as (fake, provider):
        report = await provider.read()
        assert fake.called("DescribeAutoScalingGroups") == []
    assert (report.ready, report.starting) == (0, 2)


async def test_nodes_that_cannot_be_counted_are_not_none(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, node_group(behind=None)) as (fake, provider):
        with pytest.raises(Unreachable, match="lacks the Auto Scaling groups"):
            await provider.read()
        fake.answers["DescribeNodegroup"] = {"nodegroup": {"status": "ACTIVE"}}
        with pytest.raises(Unreachable, match=r"lacks scalingConfig\.desiredSize"):
            await provider.read()
        fake.answers["DescribeNodegroup"] = {"nodegroup": node_group()}
        fake.answers["DescribeAutoScalingGroups"] = {"AutoScalingGroups": []}
        with pytest.raises(Gone, match="there is no Auto Scaling group eks-chat-1"):
            await provider.read()


@pytest.mark.parametrize(
    "answer",
    [
        {"nodegroup": node_group(2, "DELETING")},
        Refusal("ResourceNotFoundException", "No node group found for name: chat.", 404),
    ],
)
async def test_a_node_group_that_is_not_there_or_goes_is_gone(answer, tmp_path, monkeypatch):
    answers = {"DescribeNodegroup": answer}
    async with provided(tmp_path, monkeypatch, node_group(), **answers) as (fake, provider):
        for call in (provider.read(), provider.set_replicas(3, key="a")):
            with pytest.raises(Gone):
                await call
        assert fake.called("UpdateNodegroupConfig") == []


async def test_the_order_carries_the_decisions_key_and_nothing_but_the_count(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, node_group()) as (fake, provider):
        await provider.set_replicas(3, key="0123456789abcdef")
        (sent,) = fake.called("UpdateNodegroupConfig")
    assert sent == {"scalingConfig": {"desiredSize": 3}, "clientRequestToken": "0123456789abcdef"}


async def test_a_count_outside_the_bounds_is_not_sent(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, node_group()) as (fake, provider):
        with pytest.raises(Invalid, match="10 is outside its minSize 0 and maxSize 9"):
            await provider.set_replicas(10, key="a")
        assert fake.called("UpdateNodegroupConfig") == []


async def test_an_update_under_way_asks_for_patience(tmp_path, monkeypatch):
    words = "Nodegroup cannot be updated as it currently has an update in progress"
    answers = {"UpdateNodegroupConfig": Refusal("ResourceInUseException", words, 409)}
    async with provided(tmp_path, monkeypatch, node_group(), **answers) as (_, provider):
        with pytest.raises(Throttled, match="an earlier update has not ended"):
            await provider.set_replicas(3, key="a")


FOUND_BY = [
    {"ResourceId": "eks-chat-1", "Key": "k8s.io/cluster-autoscaler/enabled", "Value": "true"}
]


@pytest.mark.parametrize(
    ("found", "group", "answers", "level", "words"),
    [
        (node_group(2, "DEGRADED", *ISSUES), behind(2), {}, Level.PROBLEM, "Could not launch"),
        (node_group(2, "UPDATING"), behind(2), {}, Level.WARNING, "an update is under way"),
        (node_group(3), behind(2), {}, Level.WARNING, "desiredSize is 3, and 2 in the group"),
        (node_group(), behind(2), {"DescribePolicies": {"ScalingPolicies": [
            POLICY | {"PolicyType": "SimpleScaling"}]}}, Level.WARNING, "keep-cpu"),
    ],
)  # fmt: skip
async def test_a_look_finds(found, group, answers, level, words, tmp_path, monkeypatch):
    answers = {**QUIET, **answers}
    async with provided(tmp_path, monkeypatch, found, group, **answers) as (fake, provider):
        (finding,) = [x for x in await provider.inspect() if x.level is not Level.OK]
        assert fake.called("UpdateNodegroupConfig") == []
    assert finding.level is level
    assert words in finding.what
    assert finding.remedy


async def test_a_look_says_what_cannot_be_seen_of_a_cluster_autoscaler(tmp_path, monkeypatch):
    group = behind(2, Tags=FOUND_BY)
    async with provided(tmp_path, monkeypatch, node_group(), group, **QUIET) as (_, provider):
        findings = await provider.inspect()
    assert all(x.level is Level.OK for x in findings)
    (said,) = [x for x in findings if "cluster-autoscaler" in x.what]
    assert "keep it from this node group" in said.remedy


async def test_a_look_that_is_refused_says_why(tmp_path, monkeypatch):
    answers = QUIET | {"DescribeNodegroup": Refusal("AccessDeniedException", "not you", 403)}
    async with provided(tmp_path, monkeypatch, node_group(), **answers) as (_, provider):
        with pytest.raises(Unauthorised, match="not you"):
            await provider.inspect()


def test_two_pools_of_one_node_group_are_the_same_target():
    one = AwsEksTarget(cluster="inference", nodegroup="chat")
    assert one.identity("a", "b") == one.identity("c", "d")
    assert one.identity("a", "b") != AwsEksTarget(cluster="x", nodegroup="chat").identity("a", "b")
