"""Auto Scaling groups: their states, why they are short, who else sets them, who goes first."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.aws_answers import (
    POLICY,
    QUIET,
    QUOTA,
    STOCKOUT,
    a_group,
    activity,
    instance,
)
from tests.contract.aws_world import group, imitated, moto, with_group
from tests.contract.fake_aws import Refusal
from tests.contract.harness import rule

from poolwright.actuation.provider import Gone, Invalid, Level, Throttled, Unauthorised, Unreachable
from poolwright.actuation.providers.aws_autoscaling import AwsAutoScalingProvider
from poolwright.actuation.targets.aws_autoscaling import AwsAutoScalingTarget
from poolwright.settings import Settings


@contextlib.asynccontextmanager
async def provided(folder, patch, found, *, target=None, **answers):
    """The provider of a group that is as `found` in the imitation."""
    answers.setdefault("DescribeScalingActivities", {"Activities": []})
    answers.setdefault("SetDesiredCapacity", {})
    answers["DescribeAutoScalingGroups"] = {"AutoScalingGroups": [found] if found else []}
    async with imitated(folder, patch, **answers) as fake:
        wanted = {"group": "chat", **(target or {})}
        provider = AwsAutoScalingProvider(rule("aws_autoscaling", wanted), Settings())
        yield fake, provider
        await provider.close()


# --- what it has ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "ready", "starting", "terminating"),
    [
        (["InService", "InService"], 2, 0, 0),
        (["InService", "Pending"], 1, 1, 0),
        (["InService", "Pending:Wait"], 1, 1, 0),
        (["InService", "Pending:Proceed"], 1, 1, 0),
        (["InService"], 1, 1, 0),
        (["InService", "InService", "Terminating"], 2, 0, 1),
        (["InService", "InService", "Terminating:Wait"], 2, 0, 1),
        (["InService", "InService", "Detaching"], 2, 0, 1),
        (["InService", "InService", "Terminated", "Detached"], 2, 0, 0),
        (["InService", "InService", "Standby", "EnteringStandby"], 2, 0, 0),
        (["InService", "InService", "Warmed:Stopped", "Warmed:Running"], 2, 0, 0),
        (["InService", "Warmed:Pending:Wait", "Warmed:Terminating"], 1, 1, 0),
        (["InService", "ReplacingRootVolume"], 1, 1, 0),
        ([], 0, 2, 0),
    ],
)
async def test_states_are_counted(states, ready, starting, terminating, tmp_path, monkeypatch):
    instances = [instance(f"i-{n}", state) for n, state in enumerate(states)]
    async with provided(tmp_path, monkeypatch, a_group(2, *instances)) as (_, provider):
        report = await provider.read()
    counts = (report.desired, report.ready, report.starting, report.terminating)
    assert counts == (2, ready, starting, terminating)


async def test_an_unhealthy_instance_is_not_ready(tmp_path, monkeypatch):
    found = a_group(2, instance(), instance("i-2", HealthStatus="Unhealthy"))
    async with provided(tmp_path, monkeypatch, found) as (_, provider):
        report = await provider.read()
    assert (report.ready, report.starting, report.short) == (1, 1, "")


async def test_weighed_instances_count_by_their_weight(tmp_path, monkeypatch):
    instances = [instance(WeightedCapacity="4"), instance("i-2", "Pending", WeightedCapacity="2")]
    async with provided(tmp_path, monkeypatch, a_group(6, *instances)) as (_, provider):
        report = await provider.read()
    assert (report.ready, report.starting) == (4, 2)


@pytest.mark.parametrize("found", [None, a_group(2, Status="Delete in progress")])
async def test_a_group_that_is_not_there_or_goes_is_gone(found, tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, found) as (fake, provider):
        for call in (provider.read(), provider.set_replicas(3, key="a")):
            with pytest.raises(Gone, match="there is no Auto Scaling group chat"):
                await call
        assert fake.called("SetDesiredCapacity") == []


async def test_an_answer_without_groups_is_no_empty_group(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, a_group(2)) as (fake, provider):
        fake.answers["DescribeAutoScalingGroups"] = {}
        with pytest.raises(Unreachable, match="lacks AutoScalingGroups"):
            await provider.read()


# --- why it is short -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activities", "short"),
    [
        ([], ""),
        ([activity("Failed", STOCKOUT)], STOCKOUT),
        ([activity("Failed", QUOTA)], QUOTA),
        ([activity("InProgress"), activity("Failed", STOCKOUT)], STOCKOUT),
        ([activity("PreInService"), activity("Failed", STOCKOUT)], STOCKOUT),
        ([activity("Successful"), activity("Failed", STOCKOUT)], ""),
        ([activity("Failed", STOCKOUT), activity("Successful")], STOCKOUT),
        ([activity("Cancelled"), activity("Failed", STOCKOUT)], STOCKOUT),
        ([activity("Failed", "gone", doing="Terminating EC2 instance: i-1")], ""),
        ([activity("Failed", doing="Launching a new EC2 instance. Status Reason: no")],
         "Launching a new EC2 instance. Status Reason: no"),
    ],
)  # fmt: skip
async def test_aws_says_why_ordered_instances_do_not_come(activities, short, tmp_path, monkeypatch):
    answers = {"DescribeScalingActivities": {"Activities": activities}}
    async with provided(tmp_path, monkeypatch, a_group(2, instance()), **answers) as (_, provider):
        report = await provider.read()
    assert (report.short, report.starting) == (short, 1)


async def test_a_failure_before_the_last_order_says_nothing_of_it(tmp_path, monkeypatch):
    answers = {"DescribeScalingActivities": {"Activities": [activity("Failed", STOCKOUT)]}}
    async with provided(tmp_path, monkeypatch, a_group(2, instance()), **answers) as (
        fake,
        provider,
    ):
        assert (await provider.read()).short == STOCKOUT
        await provider.set_replicas(3, key="a")
        fake.answers["DescribeAutoScalingGroups"] = {"AutoScalingGroups": [a_group(3, instance())]}
        assert (await provider.read()).short == ""
        later = datetime.now(UTC) + timedelta(seconds=5)
        again = activity("Failed", QUOTA) | {"StartTime": later}
        fake.answers["DescribeScalingActivities"] = {"Activities": [again]}
        assert (await provider.read()).short == QUOTA


async def test_a_group_that_has_its_count_is_not_asked_why(tmp_path, monkeypatch):
    found = a_group(2, instance(), instance("i-2", "Pending"))
    async with provided(tmp_path, monkeypatch, found) as (fake, provider):
        assert (await provider.read()).short == ""
        assert fake.called("DescribeScalingActivities") == []


async def test_a_suspended_launch_is_why(tmp_path, monkeypatch):
    suspended = [{"ProcessName": "Launch", "SuspensionReason": "User suspended at noon"}]
    found = a_group(2, instance(), SuspendedProcesses=suspended)
    async with provided(tmp_path, monkeypatch, found) as (_, provider):
        assert "User suspended at noon" in (await provider.read()).short


# --- orders --------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "bound"), [(1, "MinSize 2"), (10, "MaxSize 9")])
async def test_a_count_outside_the_groups_bounds_is_not_sent(count, bound, tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, a_group(2, MinSize=2)) as (fake, provider):
        with pytest.raises(Invalid, match=rf"{bound}.*change these, or the pool's replicas"):
            await provider.set_replicas(count, key="a")
        assert fake.called("SetDesiredCapacity") == []


async def test_the_groups_cooldown_does_not_count(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, a_group(2)) as (fake, provider):
        await provider.set_replicas(3, key="a")
        (sent,) = fake.called("SetDesiredCapacity")
    assert sent["HonorCooldown"] == "false"
    assert sent["DesiredCapacity"] == "3"


# --- who goes first ------------------------------------------------------------------------


async def of_moto(past, provider, least):
    """The names of the instances once there are so many."""
    report = await provider.read()
    assert report.ready == least
    return {one["InstanceId"] for one in (await group(past, "chat"))["Instances"]}


@contextlib.asynccontextmanager
async def protected_group(folder, patch, count):
    async with moto(folder, patch) as (proxy, past):
        await with_group(past, "chat", count=count)
        await past.call(
            "autoscaling",
            "update_auto_scaling_group",
            AutoScalingGroupName="chat",
            NewInstancesProtectedFromScaleIn=True,
        )
        target = {"group": "chat", "manages_protection": True}
        provider = AwsAutoScalingProvider(rule("aws_autoscaling", target), Settings())
        yield proxy, past, provider
        await provider.close()


async def test_with_managed_protection_the_named_go_first(tmp_path, monkeypatch):
    async with protected_group(tmp_path, monkeypatch, 5) as (_, past, provider):
        before = sorted(await of_moto(past, provider, 5))
        await provider.set_replicas(3, key="a", drain=(before[3], before[1]))
        assert await of_moto(past, provider, 3) == {before[0], before[2], before[4]}
        left = (await group(past, "chat"))["Instances"]
        assert all(one["ProtectedFromScaleIn"] for one in left)


async def test_with_managed_protection_names_of_nobody_leave_the_choice(tmp_path, monkeypatch):
    async with protected_group(tmp_path, monkeypatch, 4) as (_, past, provider):
        names = sorted(await of_moto(past, provider, 4))
        await provider.set_replicas(2, key="a", drain=("chat-7f-a", names[2]))
        assert await of_moto(past, provider, 2) == {names[1], names[3]}


async def test_a_choice_whose_count_was_never_set_lets_nobody_go_and_is_made_anew(
    tmp_path, monkeypatch
):
    found = a_group(3, *(instance(f"i-{n}", ProtectedFromScaleIn=True) for n in (1, 2, 3)))
    managed = {"manages_protection": True}
    answers = {"SetInstanceProtection": {}, "SetDesiredCapacity": Refusal("Throttling")}
    async with provided(tmp_path, monkeypatch, found, target=managed, **answers) as (
        fake,
        provider,
    ):
        with pytest.raises(Throttled):
            await provider.set_replicas(2, key="a", drain=("i-3",))
        free = [instance(f"i-{n}", ProtectedFromScaleIn=n != 3) for n in (1, 2, 3)]
        fake.answers["DescribeAutoScalingGroups"] = {"AutoScalingGroups": [a_group(3, *free)]}
        fake.answers["SetDesiredCapacity"] = {}
        fake.calls.clear()
        await provider.set_replicas(2, key="b", drain=("i-1",))
        order = [call.operation for call in fake.calls]
        sent = fake.called("SetInstanceProtection")
    assert order[1:] == ["SetInstanceProtection", "SetInstanceProtection", "SetDesiredCapacity"]
    assert [(s["InstanceIds.member.1"], s["ProtectedFromScaleIn"]) for s in sent] == [
        ("i-3", "true"),
        ("i-1", "false"),
    ]


@pytest.mark.parametrize(
    ("there", "desired", "count", "go"),
    [(5, 3, 2, ["i-1", "i-2", "i-3"]), (3, 5, 4, []), (3, 5, 2, ["i-1"])],
    ids=["still-shrinking", "short", "short-and-fewer"],
)
async def test_as_many_may_go_as_are_there_beyond_the_count(
    there, desired, count, go, tmp_path, monkeypatch
):
    instances = [instance(f"i-{n}", ProtectedFromScaleIn=True) for n in range(1, there + 1)]
    managed = {"manages_protection": True}
    answers = {"SetInstanceProtection": {}}
    found = a_group(desired, *instances)
    async with provided(tmp_path, monkeypatch, found, target=managed, **answers) as (fake, p):
        await p.set_replicas(count, key="a", drain=("i-1",))
        sent = fake.called("SetInstanceProtection")
        assert len(fake.called("SetDesiredCapacity")) == 1
    names = [v for asked in sent for key, v in asked.items() if key.startswith("InstanceIds")]
    assert sorted(names) == go


async def test_the_unhealthy_go_before_the_named(tmp_path, monkeypatch):
    sick = instance("i-9", ProtectedFromScaleIn=True, HealthStatus="Unhealthy")
    found = a_group(2, instance(ProtectedFromScaleIn=True), sick)
    managed = {"manages_protection": True}
    answers = {"SetInstanceProtection": {}}
    async with provided(tmp_path, monkeypatch, found, target=managed, **answers) as (fake, p):
        await p.set_replicas(1, key="a", drain=("i-1",))
        (sent,) = fake.called("SetInstanceProtection")
    assert sent["InstanceIds.member.1"] == "i-9"


async def test_many_are_protected_in_parts_that_aws_takes(tmp_path, monkeypatch):
    found = a_group(120, *(instance(f"i-{n:03}") for n in range(120)), MaxSize=200)
    managed = {"manages_protection": True}
    answers = {"SetInstanceProtection": {}}
    async with provided(tmp_path, monkeypatch, found, target=managed, **answers) as (fake, p):
        await p.set_replicas(119, key="a", drain=("i-007",))
        sizes = [
            sum(key.startswith("InstanceIds") for key in sent)
            for sent in fake.called("SetInstanceProtection")
        ]
    assert sizes == [50, 50, 19]


async def test_without_managed_protection_nobodys_protection_is_touched(tmp_path, monkeypatch):
    found = a_group(3, *(instance(f"i-{n}", ProtectedFromScaleIn=True) for n in (1, 2, 3)))
    async with provided(tmp_path, monkeypatch, found) as (fake, provider):
        await provider.set_replicas(2, key="a", drain=("i-3",))
        assert fake.called("SetInstanceProtection") == []


# --- what check --live finds ---------------------------------------------------------------

FORECAST = {
    "MetricSpecifications": [{"TargetValue": 50.0}],
    "Mode": "ForecastOnly",
}
SUSPENDED = [{"ProcessName": "Terminate", "SuspensionReason": "by hand"}]


@pytest.mark.parametrize(
    ("more", "answers", "level", "words"),
    [
        ({"SuspendedProcesses": SUSPENDED}, {}, Level.PROBLEM, "Terminate of chat is suspended"),
        ({"MaxSize": 5}, {}, Level.WARNING, "allows 0 to 5, the pool 0 to 9"),
        ({"MinSize": 2}, {}, Level.WARNING, "allows 2 to 9, the pool 0 to 9"),
        ({"Instances": [instance(state="Standby")]}, {}, Level.WARNING, "1 on standby"),
        ({"Instances": [instance(WeightedCapacity="2")]}, {}, Level.WARNING, "weighs"),
        ({"Instances": [instance(ProtectedFromScaleIn=True), instance("i-2")]}, {},
         Level.WARNING, "1 instances are protected from scale-in: at most 1 can go"),
        ({"Tags": [{"ResourceId": "chat", "Key": "eks:nodegroup-name", "Value": "gpus"}]}, {},
         Level.WARNING, "belongs to the EKS node group gpus"),
        ({}, {"DescribePolicies": {"ScalingPolicies": [
            POLICY | {"PolicyType": "TargetTrackingScaling"}]}},
         Level.WARNING, "scaling policy keep-cpu (TargetTrackingScaling) sets the same count"),
        ({}, {"DescribeScheduledActions": {"ScheduledUpdateGroupActions": [
            {"AutoScalingGroupName": "chat", "ScheduledActionName": "nights"}]}},
         Level.WARNING, "scheduled action nights sets the same count"),
        ({}, {"DescribePolicies": Refusal("AccessDenied", "may not describe", 403)},
         Level.WARNING, "may not describe"),
    ],
)  # fmt: skip
async def test_a_look_finds(more, answers, level, words, tmp_path, monkeypatch):
    found = a_group(2, **more)
    answers = {**QUIET, **answers}
    async with provided(tmp_path, monkeypatch, found, **answers) as (fake, provider):
        findings = [x for x in await provider.inspect() if x.level is not Level.OK]
        assert fake.called("SetDesiredCapacity") == []
    (finding,) = findings
    assert finding.level is level
    assert words in finding.what
    assert finding.remedy


@pytest.mark.parametrize(
    "policy",
    [
        POLICY | {"Enabled": False, "PolicyType": "StepScaling"},
        POLICY | {"PolicyType": "PredictiveScaling", "PredictiveScalingConfiguration": FORECAST},
    ],
)
async def test_a_policy_that_sets_nothing_is_nobody(policy, tmp_path, monkeypatch):
    answers = QUIET | {"DescribePolicies": {"ScalingPolicies": [policy]}}
    async with provided(tmp_path, monkeypatch, a_group(2), **answers) as (_, provider):
        assert all(x.level is Level.OK for x in await provider.inspect())


@pytest.mark.parametrize(("fresh", "level"), [(True, Level.OK), (False, Level.WARNING)])
async def test_managed_protection_wants_new_instances_protected(
    fresh, level, tmp_path, monkeypatch
):
    found = a_group(1, instance(ProtectedFromScaleIn=True), NewInstancesProtectedFromScaleIn=fresh)
    managed = {"manages_protection": True}
    async with provided(tmp_path, monkeypatch, found, target=managed, **QUIET) as (_, provider):
        worst = [x.level for x in await provider.inspect() if x.level is not Level.OK]
    assert worst == ([] if level is Level.OK else [level])


async def test_a_look_that_gets_no_group_says_why(tmp_path, monkeypatch):
    async with provided(tmp_path, monkeypatch, None, **QUIET) as (fake, provider):
        with pytest.raises(Gone, match="no Auto Scaling group chat"):
            await provider.inspect()
        fake.answers["DescribeAutoScalingGroups"] = Refusal("AccessDenied", "not you", 403)
        with pytest.raises(Unauthorised, match="not you"):
            await provider.inspect()


async def test_a_look_at_motos_own_policies_and_schedules_finds_them(tmp_path, monkeypatch):
    async with moto(tmp_path, monkeypatch) as (_, past):
        await with_group(past, "chat")
        await past.call(
            "autoscaling",
            "put_scaling_policy",
            AutoScalingGroupName="chat",
            PolicyName="keep-cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingConfiguration={
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "ASGAverageCPUUtilization"
                },
                "TargetValue": 50.0,
            },
        )
        await past.call(
            "autoscaling",
            "put_scheduled_update_group_action",
            AutoScalingGroupName="chat",
            ScheduledActionName="nights",
            Recurrence="0 22 * * *",
            DesiredCapacity=0,
        )
        await past.call(
            "autoscaling",
            "suspend_processes",
            AutoScalingGroupName="chat",
            ScalingProcesses=["Launch"],
        )
        provider = AwsAutoScalingProvider(rule("aws_autoscaling", {"group": "chat"}), Settings())
        said = "\n".join(finding.what for finding in await provider.inspect())
        await provider.close()
    for words in ("keep-cpu", "nights", "Launch of chat is suspended"):
        assert words in said


def test_two_pools_of_one_group_are_the_same_target():
    one = AwsAutoScalingTarget(group="chat", region="eu-west-1")
    assert one.identity("a", "b") == AwsAutoScalingTarget(
        group="chat", region="eu-west-1", manages_protection=True
    ).identity("c", "d")
    assert one.identity("a", "b") != AwsAutoScalingTarget(group="chat").identity("a", "b")
