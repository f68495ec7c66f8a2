"""What a look at a scale set finds, and how the provider comes by its credentials."""

from pathlib import Path

import pytest
from testenv.fault_proxy import Fault, FaultKind
from tests.contract import schema_azure
from tests.contract.azure_world import World, world
from tests.contract.fake_azure import GROUP, HEADER, ID, NAME, SUBSCRIPTION, Refusal, error
from tests.contract.harness import rule

from poolwright.actuation.provider import Finding, Invalid, Level, Unauthorised, Unreachable
from poolwright.actuation.targets.azure_scale_set import AzureScaleSetTarget
from poolwright.errors import SettingsError

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def azure(monkeypatch):
    async with world(monkeypatch) as made:
        yield made


async def levels(azure: World) -> dict[Level, list[Finding]]:
    findings = await azure.provider.inspect()
    return {level: [f for f in findings if f.level is level] for level in Level}


# --- a look ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flexible", [False, True])
async def test_a_look_says_what_the_credentials_lack(monkeypatch, flexible):
    async with world(monkeypatch, flexible=flexible) as azure:
        read = "Microsoft.Compute/*/read"
        azure.fake.roles = [{"actions": [read], "notActions": []}]
        (problem,) = (await levels(azure))[Level.PROBLEM]
        assert problem.what == (
            "the credentials lack Microsoft.Compute/virtualMachineScaleSets/write"
        )
        assert "docs/providers/azure.md" in problem.remedy
        # What one role takes out, another may give.
        azure.fake.roles = [
            {"actions": ["*"], "notActions": ["microsoft.compute/virtualmachinescalesets/write"]},
            {"actions": ["Microsoft.Compute/virtualMachineScaleSets/*"], "notActions": []},
        ]
        azure.fake.page_size = 1
        assert not (await levels(azure))[Level.PROBLEM]
        azure.fake.roles = azure.fake.roles[:1]
        assert (await levels(azure))[Level.PROBLEM]


def setting(enabled: bool, target: str = ID.upper()) -> dict[str, object]:
    profile = {
        "name": "p",
        "capacity": {"minimum": "1", "maximum": "9", "default": "1"},
        "rules": [],
    }
    properties = {"profiles": [profile], "enabled": enabled, "targetResourceUri": target}
    return {"name": "by-cpu", "location": "eastus", "properties": properties}


async def test_a_look_finds_the_autoscale_setting_of_the_set(azure):
    azure.fake.autoscale = [setting(True, ID + "-other"), setting(True)]
    (problem,) = (await levels(azure))[Level.PROBLEM]
    assert "by-cpu" in problem.what
    azure.fake.autoscale = [setting(False)]
    found = await levels(azure)
    assert not found[Level.PROBLEM]
    assert any("disabled" in f.what for f in found[Level.OK])


async def test_a_look_goes_on_where_it_may_not_ask(azure):
    azure.fake.roles = azure.fake.autoscale = None
    permissions, autoscale = (await levels(azure))[Level.WARNING]
    assert "Microsoft.Authorization/permissions/read" in permissions.remedy
    assert "Microsoft.Insights/autoscaleSettings/read" in autoscale.remedy


async def test_a_look_warns_of_a_node_pool_of_aks(azure):
    azure.fake.tags = {"aks-managed-poolName": "gpu"}
    (warning,) = (await levels(azure))[Level.WARNING]
    assert "AKS" in warning.what


# --- credentials ----------------------------------------------------------------------------


async def test_a_token_that_expired_is_renewed_within_the_call(azure):
    await azure.provider.read()
    azure.fake.expire_tokens()
    await azure.provider.set_replicas(4, key="a")
    assert azure.fake.capacity == 4


async def test_a_token_that_stays_refused_is_told(azure):
    azure.proxy.fault = Fault(FaultKind.STATUS, status=401)
    with pytest.raises(Unauthorised, match="role"):
        await azure.provider.read()


async def test_an_identity_that_azure_does_not_know_is_told(azure, monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "a-wrong-one")
    with pytest.raises(Unauthorised, match="no such identity"):
        await azure.provider.read()
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    assert (await azure.provider.read()).desired == 2


async def test_no_credentials_are_told(azure, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with pytest.raises(Unauthorised, match="AZURE_CLIENT_SECRET"):
        await azure.provider.read()


async def test_no_answer_of_the_identity_is_unreachable(azure, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/identity")
    with pytest.raises(Unreachable, match="no token"):
        await azure.provider.read()


async def test_no_answer_of_the_login_is_unreachable(azure, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:9")
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", SUBSCRIPTION)
    with pytest.raises(Unreachable, match="no token"):
        await azure.provider.read()


async def test_no_error_shows_a_token(azure):
    await azure.provider.read()
    token = azure.fake.tokens[-1]
    azure.fake.refusals = [Refusal(400, error("Odd", f"the header 'Bearer {token}' is odd"))]
    with pytest.raises(Invalid) as caught:
        await azure.provider.set_replicas(4, key="a")
    assert "is odd" in str(caught.value)
    assert token not in str(caught.value)


# --- the target -----------------------------------------------------------------------------

RIGHT = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "name": NAME}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subscription": "prod"}, "subscription"),
        ({"resource_group": "a/b"}, "resource_group"),
        ({"name": "../x"}, "name"),
        ({"endpoint": "http://management.example"}, "https://"),
    ],
)
def test_a_wrong_target_is_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        AzureScaleSetTarget.of(rule("azure_scale_set", RIGHT | wrong))


def test_a_set_is_the_same_however_it_is_written():
    loud = {key: value.upper() for key, value in RIGHT.items()}
    one, same = (AzureScaleSetTarget.of(rule("azure_scale_set", t)) for t in (RIGHT, loud))
    assert one.identity("s", "p") == same.identity("s", "q")


def test_the_role_of_the_page_is_what_the_provider_needs():
    page = (ROOT / "docs/providers/azure.md").read_text()
    needs = AzureScaleSetTarget.needs
    assert needs is not None
    for permission in needs.permissions:
        for name in permission.partition(":")[0].split(", or "):
            assert name in page


# --- the description ------------------------------------------------------------------------


def test_the_description_refuses_what_microsofts_clients_do_not_send_or_know():
    call, names = schema_azure.matched("GET", f"{ID}/virtualMachines")
    good = {"api-version": "2024-07-01", "$expand": "instanceView"}
    schema_azure.check_request(call, f"{ID}/virtualMachines", names, good, None, None)
    for query in ({"api-version": "2024-07-01"}, good | {"page": "2"}):
        with pytest.raises(AssertionError):
            schema_azure.check_request(call, f"{ID}/virtualMachines", names, query, None, None)
    machine = {"location": "eastus", "properties": {"provisioningState": "Succeeded"}}
    schema_azure.check_answer(call, {"value": [machine]})
    for wrong in (
        {"properties": {"state": "Succeeded"}},
        {"properties": {"instanceView": {"statuses": {}}}},
        {"properties": {"instanceView": {"statuses": [{"level": "Loud"}]}}},
        {"instanceId": 7},
    ):
        with pytest.raises(AssertionError):
            schema_azure.check_answer(call, {"value": [wrong]})
    update, _ = schema_azure.matched("PATCH", ID)
    with pytest.raises(AssertionError):
        schema_azure.conforms({"sku": {"capacity": "4"}}, update.body, "update")
    autoscale, _ = schema_azure.matched(
        "GET", f"{ID.partition('/providers')[0]}/providers/Microsoft.Insights/autoscalesettings"
    )
    with pytest.raises(AssertionError):
        schema_azure.check_answer(autoscale, {"value": [{"properties": {"on": True}}]})
