"""What a look at an instance group finds, and how the provider comes by its credentials."""

from pathlib import Path

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract import schema_google
from tests.contract.fake_google import GROUP, PROJECT, Refusal
from tests.contract.gcp_world import World, world
from tests.contract.harness import rule

from poolwright.actuation.calls import bounded
from poolwright.actuation.provider import Finding, Invalid, Level, Unauthorised, Unreachable
from poolwright.actuation.targets.gcp_instance_group import GcpInstanceGroupTarget
from poolwright.errors import SettingsError

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def gcp(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as made:
        yield made


async def levels(gcp: World) -> dict[Level, list[Finding]]:
    findings = await gcp.provider.inspect()
    return {level: [f for f in findings if f.level is level] for level in Level}


# --- a look ---------------------------------------------------------------------------------


async def test_a_look_says_what_the_credentials_allow(gcp):
    found = await levels(gcp)
    assert [f.what for f in found[Level.OK]] == ["the credentials may read and resize the group"]
    gcp.fake.granted = {"compute.instanceGroupManagers.get", "compute.zoneOperations.get"}
    (problem,) = (await levels(gcp))[Level.PROBLEM]
    assert (
        problem.what == "the credentials lack compute.instanceGroupManagers.update on the project"
    )
    assert "role" in problem.remedy


async def test_a_look_goes_on_where_permissions_cannot_be_asked_for(gcp):
    gcp.proxy.fault = Fault(FaultKind.STATUS, lambda r: b"testIamPermissions" in r, 403)
    (warning,) = (await levels(gcp))[Level.WARNING]
    assert "could not be asked" in warning.what


def autoscaler(mode: str) -> dict[str, object]:
    policy = {"mode": mode, "minNumReplicas": 1, "maxNumReplicas": 9}
    return {"kind": "compute#autoscaler", "name": "by-cpu", "autoscalingPolicy": policy}


async def test_a_look_finds_the_autoscaler_of_the_group(gcp):
    gcp.fake.autoscaler = autoscaler("ON")
    (problem,) = (await levels(gcp))[Level.PROBLEM]
    assert "by-cpu" in problem.what
    gcp.fake.autoscaler = autoscaler("OFF")
    found = await levels(gcp)
    assert not found[Level.PROBLEM]
    assert any("by-cpu" in f.what for f in found[Level.OK])


async def test_an_autoscaler_that_may_not_be_read_is_a_problem_all_the_same(gcp):
    gcp.fake.autoscaler = autoscaler("OFF")
    gcp.proxy.fault = Fault(FaultKind.STATUS, lambda r: b"/autoscalers/" in r, 403)
    (problem,) = (await levels(gcp))[Level.PROBLEM]
    assert "mode unknown" in problem.what


# --- credentials ----------------------------------------------------------------------------


async def test_a_token_that_expired_is_renewed_within_the_call(gcp):
    await gcp.provider.read()
    gcp.fake.expire_tokens()
    await gcp.provider.set_replicas(5, key="a")
    assert gcp.fake.size == 5


async def test_a_token_that_stays_refused_is_told(gcp):
    gcp.proxy.fault = Fault(FaultKind.STATUS, status=401)
    with pytest.raises(Unauthorised, match="role"):
        await gcp.provider.read()


async def test_an_account_that_google_does_not_know_is_told(gcp, monkeypatch):
    account = gcp.account.read_text()
    gcp.account.write_text(account.replace("/token", "/wrong"))
    with pytest.raises(Unauthorised) as caught:
        await gcp.provider.read()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value)
    # A new key is taken without a restart.
    gcp.account.write_text(account)
    assert (await gcp.provider.read()).desired == 2


async def test_a_missing_key_file_is_told(gcp):
    gcp.account.unlink()
    with pytest.raises(Unauthorised, match=r"account\.json"):
        await gcp.provider.read()


async def test_no_answer_of_the_token_server_is_unreachable(gcp):
    account = gcp.account.read_text()
    gcp.account.write_text(
        account.replace('"token_uri": "http://', '"token_uri": "http://127.0.0.1:9/')
    )
    with pytest.raises(Unreachable):
        await bounded(gcp.provider.read(), 9.0)


async def test_no_error_shows_a_token_or_a_key(gcp):
    await gcp.provider.read()
    token = gcp.fake.tokens[-1]
    key = gcp.account.read_text().split("\\n")[1]
    gcp.fake.refusals = [Refusal(400, "invalid", f"Bearer {token} signed by {key} is odd")]
    with pytest.raises(Invalid) as caught:
        await gcp.provider.set_replicas(5, key="a")
    assert "is odd" in str(caught.value)
    assert token not in str(caught.value)
    assert key not in str(caught.value)


# --- the target -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"zone": "us-central1-a", "region": "us-central1"}, "never both"),
        ({}, "`zone` or a `region`"),
        ({"zone": "us-central1-a", "endpoint": "http://example.com"}, "https://"),
        ({"zone": "us-central1-a", "endpoint": "https://u:p@example.com"}, "plain address"),
        ({"zone": "../secrets"}, "zone"),
    ],
)
def test_a_wrong_target_is_refused(wrong, message):
    pool = rule("gcp_instance_group", {"project": PROJECT, "name": GROUP, **wrong})
    with pytest.raises(SettingsError, match=message):
        GcpInstanceGroupTarget.of(pool)


def test_a_group_is_the_same_whatever_way_leads_to_it():
    here = {"project": PROJECT, "zone": "us-central1-a", "name": GROUP}
    other = here | {"endpoint": "https://compute-x.p.googleapis.com/compute/v1"}
    one, same = (GcpInstanceGroupTarget.of(rule("gcp_instance_group", t)) for t in (here, other))
    assert one.identity("s", "p") == same.identity("s", "q")


def test_the_role_of_the_page_is_what_the_provider_needs():
    page = (ROOT / "docs/providers/gcp.md").read_text()
    needs = GcpInstanceGroupTarget.needs
    assert needs is not None
    for permission in needs.permissions:
        for name in permission.partition(":")[0].split(", or "):
            assert name in page


# --- the description ------------------------------------------------------------------------


def test_the_description_refuses_what_google_does_not_describe():
    path = f"/compute/v1/projects/{PROJECT}/zones/us-central1-a/instanceGroupManagers/{GROUP}"
    method, in_path = schema_google.matched("compute.v1", "POST", f"{path}/resize")
    assert method.id == "compute.instanceGroupManagers.resize"
    schema_google.check_request(method, in_path, {"size": "3"}, None)
    for query, body in (
        ({}, None),
        ({"size": "x"}, None),
        ({"size": "3", "n": "1"}, None),
        ({"size": "3"}, {}),
    ):
        with pytest.raises(AssertionError):
            schema_google.check_request(method, in_path, query, body)
    for answer in ({"status": "FINISHED"}, {"unheard": "of"}, {"progress": "1"}):
        with pytest.raises(schema_google.jsonschema.ValidationError):
            schema_google.check_answer(method, answer)
    with pytest.raises(AssertionError):
        schema_google.matched("compute.v1", "GET", f"{path}/resize")
