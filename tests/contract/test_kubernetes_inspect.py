"""What `check --live` finds of an object: rights that lack, and who else sets its count."""

import asyncio

import pytest
from ruamel.yaml import YAML
from tests.contract.real_kubernetes import cluster, documented_rules, scaled
from tests.contract.test_kubernetes_custom import define

from poolwright.actuation.provider import Finding, Level

NONE = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]


def of(findings: list[Finding], level: Level) -> list[Finding]:
    return [finding for finding in findings if finding.level is level]


def told_rules(findings: list[Finding]) -> list[dict[str, object]]:
    """The rules that the findings say are to be added."""
    lines = [finding.remedy.partition(": ")[2] for finding in findings]
    return [YAML(typ="safe").load(line) for line in lines]


async def test_the_documented_role_lacks_nothing(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, rules=documented_rules()) as made:
        (found,) = await made.provider.inspect()
        assert found.level is Level.OK


async def test_what_lacks_is_told_with_the_rule_that_mends_it(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, rules=NONE) as made:
        findings = list(await made.provider.inspect())
        problems = [finding.what for finding in of(findings, Level.PROBLEM)]
        assert len(problems) == 2
        assert "lacks get on deployments in" in problems[0]
        assert "lacks get, update on deployments/scale" in problems[1]
        warned = " ".join(finding.what for finding in of(findings, Level.WARNING))
        assert "lacks list, watch on pods" in warned
        assert "lacks patch on pods" in warned
        assert "the role lacks list on horizontalpodautoscalers" in warned
        assert of(findings, Level.OK) == []
        # Whoever adds the lines as they are told has what is needed.
        rules = told_rules(findings)
        token = await made.cluster.account("mended", rules)
        assert token
        role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{made.cluster.namespace}/roles"
        await made.cluster.ask("PATCH", f"{role}/poolwright", {"rules": rules})
        await made.cluster.until_allowed(made.token, rules[-1])
        (found,) = await made.provider.inspect()
        assert found.level is Level.OK


async def test_a_right_to_another_object_is_none(tmp_path, monkeypatch):
    rules = [
        {**rule, "resourceNames": ["other"]} if "resourceNames" in rule else rule
        for rule in documented_rules()
    ]
    async with scaled(tmp_path, monkeypatch, rules=rules) as made:
        problems = of(list(await made.provider.inspect()), Level.PROBLEM)
        assert all("resourceNames: [chat]" in finding.remedy for finding in problems)
        assert len(problems) == 2


def hpa(name: str, aims_at: str, kind: str = "Deployment", owner: str = "") -> dict[str, object]:
    aim = {"apiVersion": "apps/v1", "kind": kind, "name": aims_at}
    metadata: dict[str, object] = {"name": name}
    if owner:
        reference = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": owner}
        metadata["ownerReferences"] = [{**reference, "uid": "1"}]
    spec = {"scaleTargetRef": aim, "minReplicas": 1, "maxReplicas": 5}
    return {"metadata": metadata, "spec": spec}


async def test_an_autoscaler_of_the_same_object_is_a_problem(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, rules=documented_rules()) as made:
        path = f"/apis/autoscaling/v2/namespaces/{made.cluster.namespace}/horizontalpodautoscalers"
        for other in (hpa("others", "other"), hpa("alike", "chat", "StatefulSet")):
            await made.cluster.ask("POST", path, other)
        assert of(list(await made.provider.inspect()), Level.PROBLEM) == []
        await made.cluster.ask("POST", path, hpa("rival", "chat"))
        (found,) = of(list(await made.provider.inspect()), Level.PROBLEM)
        assert "HorizontalPodAutoscaler rival sets the count of Deployment" in found.what
        namespace = made.cluster.namespace
        assert f"kubectl -n {namespace} delete hpa rival" in found.remedy


@pytest.fixture
async def keda():
    """The definition of KEDA's kind, without its controller; other tests' clusters have none."""
    async with cluster() as made:
        scale = {"specReplicasPath": ".spec.x", "statusReplicasPath": ".status.x"}
        await define(made, "keda.sh", "ScaledObject", "scaledobjects", scale, "v1alpha1")
        yield
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scaledobjects.keda.sh"
        await made.ask("DELETE", path)
        async with asyncio.timeout(15):
            while (await made.client.get(path)).status_code != 404:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.02)


@pytest.mark.usefixtures("keda")
async def test_a_scaled_object_of_the_same_object_is_a_problem_told_once(tmp_path, monkeypatch):
    async with scaled(tmp_path, monkeypatch, rules=documented_rules()) as made:
        path = f"/apis/keda.sh/v1alpha1/namespaces/{made.cluster.namespace}/scaledobjects"
        await made.cluster.until(path, lambda _: True)
        body = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "rival"},
            "spec": {"scaleTargetRef": {"name": "chat"}},
        }
        await made.cluster.ask("POST", path, body)
        path = f"/apis/autoscaling/v2/namespaces/{made.cluster.namespace}/horizontalpodautoscalers"
        await made.cluster.ask("POST", path, hpa("keda-hpa-rival", "chat", owner="rival"))
        (found,) = of(list(await made.provider.inspect()), Level.PROBLEM)
        assert "ScaledObject rival sets the count" in found.what
        assert "delete scaledobject rival" in found.remedy


@pytest.mark.usefixtures("keda")
async def test_scaled_objects_that_may_not_be_seen_are_a_warning(tmp_path, monkeypatch):
    rules = [rule for rule in documented_rules() if rule["apiGroups"] != ["keda.sh"]]
    async with scaled(tmp_path, monkeypatch, rules=rules) as made:
        (found,) = of(list(await made.provider.inspect()), Level.WARNING)
        assert "whether a ScaledObject sets the count" in found.what
        assert "{apiGroups: [keda.sh], resources: [scaledobjects], verbs: [list]}" in found.remedy


async def test_a_cluster_without_keda_is_no_finding(tmp_path, monkeypatch):
    rules = [rule for rule in documented_rules() if rule["apiGroups"] != ["keda.sh"]]
    async with scaled(tmp_path, monkeypatch, rules=rules) as made:
        (found,) = await made.provider.inspect()
        assert found.level is Level.OK
