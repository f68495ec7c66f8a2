"""A pool's provider and target: a mistake is told at its place, and no client is needed for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from poolwright.actuation.registry import make_providers, targets
from poolwright.clock import VirtualClock
from poolwright.errors import RuleFileError, SettingsError
from poolwright.model.rule import PoolRole, PoolRule
from poolwright.rulefiles import load_sources
from poolwright.runtime.daemon import Daemon
from poolwright.settings import Settings

RULES = """\
apiVersion: poolwright/v1
service: chat
pools:
  - name: main
    provider:
      {provider}
    replicas: {{min: 1, max: 3}}
"""
GOOD = "kubernetes: {kind: Deployment, namespace: inference, name: chat}"
KINDS = "Deployment, StatefulSet, ReplicaSet, LeaderWorkerSet"

# what is wrong: (the provider as written, the problems)
WRONG = {
    "provider": (
        "kubernets: {}",
        ["r.yaml:6:7: unknown provider `kubernets` (did you mean `kubernetes`?)"],
    ),
    "key": (
        GOOD.replace("namespace", "namespce"),
        ["r.yaml:6:38: unknown key `namespce` (did you mean `namespace`?)"],
    ),
    "another provider's key": (
        "simulated: {pool: main, region: west}",
        ["r.yaml:6:31: unknown key `region` (known: pool)"],
    ),
    "missing keys": (
        "kubernetes: {kind: Deployment}",
        [
            "r.yaml:6:19: `namespace` is missing (add namespace: …)",
            "r.yaml:6:19: `name` is missing (add name: …)",
        ],
    ),
    "number": (
        GOOD.replace("chat", "70"),
        ["r.yaml:6:66: `70` is not text (put it in quotes: '70')"],
    ),
    "nothing in quotes": (
        GOOD.replace("chat", '""'),
        ["r.yaml:6:66: `name` is empty (write its value, or delete the key)"],
    ),
    "no value": (
        "simulated: {pool: }",
        ["r.yaml:6:19: `pool` is empty (write its value, or delete the line)"],
    ),
    "kind": (
        GOOD.replace("Deployment", "Deploment"),
        [
            (
                f"r.yaml:6:26: the kind `Deploment` is none of {KINDS}"
                " (correct it; any other kind needs its `apiVersion` and `plural` as well)"
            )
        ],
    ),
    "what a kind is said to be": (
        "kubernetes: {kind: Rollout, apiVersion: 1, plural: rollouts, namespace: a, name: b}",
        ["r.yaml:6:47: `1` is not text (put it in quotes: '1')"],
    ),
}


def problems_of(provider: str) -> list[str]:
    with pytest.raises(RuleFileError) as caught:
        load_sources({"r.yaml": RULES.format(provider=provider)}, providers=targets())
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_a_target_is_told_at_its_place(name: str) -> None:
    provider, problems = WRONG[name]
    assert problems_of(provider) == problems


@pytest.mark.parametrize(
    "provider",
    [
        GOOD,
        GOOD.replace("name: chat", "name: chat, context: west"),
        GOOD.replace("Deployment", "Rollout, apiVersion: argoproj.io/v1alpha1, plural: rollouts"),
        "simulated: {}",
        "simulated: {pool: other}",
    ],
)
def test_a_right_target_loads_as_written(provider: str) -> None:
    (service,) = load_sources(
        {"r.yaml": RULES.format(provider=provider)}, providers=targets()
    ).services
    assert service.pools[0].provider == provider.partition(":")[0]


def test_a_provider_that_describes_no_target_takes_any() -> None:
    text = RULES.format(provider="nebula: {galaxy: far}")
    (service,) = load_sources({"r.yaml": text}, providers={"nebula": None}).services
    assert service.pools[0].target == {"galaxy": "far"}


def test_rules_can_be_read_where_their_provider_is_unknown() -> None:
    assert load_sources({"r.yaml": RULES.format(provider="nebula: {galaxy: far}")}).services


def test_every_provider_of_ours_describes_its_target() -> None:
    assert None not in targets().values()
    assert {"kubernetes", "simulated"} <= targets().keys()


def test_no_client_is_imported_to_check_a_target() -> None:
    """Rules are checked in places where nothing is scaled, and there it should be quick."""
    code = (
        "import sys; from poolwright.actuation.registry import targets;"
        "assert targets()['kubernetes'];"
        "sys.exit(', '.join({'lightkube', 'httpx2'} & sys.modules.keys()) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_daemon_tells_the_place_as_check_does(tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text(RULES.format(provider="simulated: {poool: main}"))
    settings = Settings(rules=tmp_path, data=tmp_path / "data")
    with pytest.raises(RuleFileError, match=r"chat\.yaml:6:19: unknown key `poool`"):
        Daemon(settings, VirtualClock())
    assert not settings.data.exists()


def test_a_provider_that_is_made_from_a_wrong_target_names_pool_and_key() -> None:
    target: dict[str, object] = {"kind": "Deployment", "namespace": "inference", "nmae": "chat"}
    rule = PoolRule("main", PoolRole.DEFAULT, "kubernetes", target, 1, 3)
    with pytest.raises(SettingsError) as caught:
        make_providers([rule], Settings())
    assert str(caught.value).startswith("pool 'main': provider.kubernetes.name: ")
    assert "provider.kubernetes.nmae: " in str(caught.value)
