"""A pool's provider and target: a mistake is told at its place, and no client is needed for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

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


TWO = """\
apiVersion: poolwright/v1
service: {service}
pools:
  - name: {service}-a
    provider: {{{first}}}
    replicas: {{min: 1, max: 3}}
  - name: {service}-b
    provider: {{{second}}}
    replicas: {{min: 1, max: 3}}
"""
ELSEWHERE = GOOD.replace("inference", "elsewhere")


def two(service: str, first: str, second: str) -> str:
    return TWO.format(service=service, first=first, second=second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (GOOD, GOOD),
        (GOOD, GOOD.replace("Deployment", "Deployment, apiVersion: apps/v1")),
        (
            GOOD.replace("Deployment", "Set, apiVersion: a.io/v1, plural: sets"),
            GOOD.replace("Deployment", "Set, apiVersion: a.io/v1beta1, plural: sets"),
        ),
        ("simulated: {pool: gpu}", "simulated: {pool: gpu}"),
        ("simulated: {}", "simulated: {pool: chat-a}"),
    ],
)
def test_two_pools_of_a_service_cannot_have_the_same_target(first: str, second: str) -> None:
    with pytest.raises(RuleFileError) as caught:
        load_sources({"r.yaml": two("chat", first, second)}, providers=targets())
    column = len("    provider: {simulated: ") + (1 if "simulated" in second else 2)
    assert [str(problem) for problem in caught.value.problems] == [
        (
            f"r.yaml:8:{column}: the same target as that of pool `chat-a` (also at"
            f" r.yaml:5:{column}; the two would undo each other's counts: correct one of the"
            " targets, or keep one pool)"
        )
    ]


def test_nor_can_pools_of_two_services(tmp_path: Path) -> None:
    for service in ("chat", "code"):
        text = two(service, GOOD, ELSEWHERE.replace("chat", service))
        (tmp_path / f"{service}.yaml").write_text(text)
    first, second = tmp_path / "chat.yaml", tmp_path / "code.yaml"
    with pytest.raises(RuleFileError) as caught:
        Daemon(Settings(rules=tmp_path, data=tmp_path / "data"), VirtualClock())
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == (str(second), 5, 28)
    assert problem.message == "the same target as that of pool `chat-a`"
    assert problem.hint.startswith(f"also at {first}:5:28; ")


@pytest.mark.parametrize(
    "second",
    [
        GOOD.replace("Deployment", "StatefulSet"),
        ELSEWHERE,
        GOOD.replace("name: chat", "name: code"),
        # The default context may be this one or another: that is not known here.
        GOOD.replace("name: chat", "name: chat, context: west"),
        "simulated: {pool: chat}",
    ],
)
def test_targets_that_differ_or_may_differ_are_not_refused(second: str) -> None:
    assert load_sources({"r.yaml": two("chat", GOOD, second)}, providers=targets()).services


def test_simulated_pools_of_two_services_are_on_two_plants() -> None:
    sources = {
        f"{service}.yaml": two(service, "simulated: {pool: gpu}", "simulated: {}")
        for service in ("chat", "code")
    }
    assert len(load_sources(sources, providers=targets()).services) == 2


class Silent(BaseModel):
    """A target of another package that says nothing of what is the same."""

    galaxy: str


class Speaking(Silent):
    def identity(self, service: str, pool: str) -> str:
        return self.galaxy.lower()


def test_targets_of_other_packages_say_it_themselves() -> None:
    sources = {"r.yaml": two("chat", "nebula: {galaxy: far}", "nebula: {galaxy: Far}")}
    for model in (None, Silent):
        assert load_sources(sources, providers={"nebula": model}).services
    with pytest.raises(RuleFileError, match=r"r\.yaml:8:24: the same target"):
        load_sources(sources, providers={"nebula": Speaking})


def test_what_follows_from_another_mistake_is_no_second_target() -> None:
    named_alike = two("chat", "simulated: {}", "simulated: {}").replace("chat-b", "chat-a")
    wrong = two("chat", GOOD, GOOD.replace("kind:", "knd:"))
    unnamed = two("chat", "simulated: {pool: chat-b}", "simulated: {}").replace("- name:", "- nom:")
    for text in (named_alike, wrong, unnamed):
        with pytest.raises(RuleFileError) as caught:
            load_sources({"r.yaml": text}, providers=targets())
        assert not [p for p in caught.value.problems if "same target" in p.message]
