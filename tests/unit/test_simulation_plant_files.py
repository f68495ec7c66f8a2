"""Plant files: what they say wins over the rule file; every mistake has its place."""

from pathlib import Path

import pytest

from poolwright import rulefiles
from poolwright.errors import RuleFileError
from poolwright.runtime.plant_files import load_plant
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec, plant_for

ROOT = Path(__file__).parents[2]
RULES = """\
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s}
  batch: {e2e: 10m}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: 1, max: 4}
    price: 5 USD/h
    startup: 90s
  - name: wse
    role: accelerator
    provider: {simulated: {pool: wse}}
    replicas: {min: 0, max: 2}
    lease: 1h
    serves: [interactive]
    advantage: {economic: 15%}
    profile:
      {itl_base: 1ms, itl_per_request: 0.5ms, prefill_base: 2ms, prefill_per_token: 0.25ms,
       max_batch: 16}
"""
SERVICE = rulefiles.load_sources({"chat.yaml": RULES}).services[0]
HEAD = "apiVersion: poolwright/v1\nplant: chat\n"


def load(tmp_path, text: str) -> PlantSpec:
    path = tmp_path / "plant.yaml"
    path.write_text(text)
    return load_plant(path, SERVICE)


def test_without_a_plant_file_the_rule_file_says_what_the_pools_are_like():
    gpu, wse = plant_for(SERVICE).pools
    assert gpu == PoolSpec("gpu", startup_s=90.0, price_usd_per_hour=5.0)
    assert (wse.itl_base_s, wse.prefill_per_token_s, wse.max_batch) == (0.001, 0.00025, 16)
    assert (wse.startup_s, wse.lease_s, wse.serves) == (180.0, 3600.0, ("interactive",))


def test_an_empty_plant_is_the_rule_files(tmp_path):
    assert load(tmp_path, HEAD) == plant_for(SERVICE)


def test_all_that_a_plant_file_can_say(tmp_path):
    text = f"""{HEAD}
sample_interval: 2s
pools:
  - name: wse
    speed:
      itl_base: 3ms
      itl_per_request: 0.1ms
      prefill_base: 4ms
      prefill_per_token: 0.2ms
      prefill_chunk_tokens: 512
      max_batch: 32
      kv_tokens: 100_000
    startup: 5m
    startup_jitter: 25%
    price: 90 USD/h
    lease: 2h
    serves: [interactive, batch]
    stock: 3
    faults:
      - {{kind: replica_dies, at: 10m}}
      - {{kind: pool_lost, at: 1h, lasts: 5m}}
      - {{kind: stockout, at: 20m, lasts: 90s}}
      - {{kind: api_unreachable, at: 0s, lasts: 1m}}
      - {{kind: slow, at: 30m, lasts: 1m30s, factor: 2.5}}
"""
    spec = load(tmp_path, text)
    assert (spec.service, spec.sample_interval_s) == ("chat", 2.0)
    assert spec.pools[0] == plant_for(SERVICE).pools[0]
    assert spec.pools[1] == PoolSpec(
        name="wse",
        itl_base_s=0.003,
        itl_per_request_s=0.0001,
        prefill_base_s=0.004,
        prefill_per_token_s=0.0002,
        prefill_chunk_tokens=512,
        max_batch=32,
        kv_tokens=100_000,
        startup_s=300.0,
        startup_jitter=0.25,
        price_usd_per_hour=90.0,
        lease_s=7200.0,
        serves=("interactive", "batch"),
        stock=3,
        faults=(
            Fault(600.0, FaultKind.REPLICA_DIES),
            Fault(3600.0, FaultKind.POOL_LOST, 300.0),
            Fault(1200.0, FaultKind.STOCKOUT, 90.0),
            Fault(0.0, FaultKind.API_UNREACHABLE, 60.0),
            Fault(1800.0, FaultKind.SLOW, 90.0, 2.5),
        ),
    )


def test_what_is_left_out_of_a_speed_is_the_profile_of_the_rules(tmp_path):
    spec = load(tmp_path, f"{HEAD}pools: [{{name: wse, speed: {{max_batch: 4}}, serves: []}}]\n")
    assert (spec.pools[1].max_batch, spec.pools[1].itl_base_s) == (4, 0.001)
    assert spec.pools[1].serves == ()


def pool(text: str) -> str:
    return f"{HEAD}pools:\n  - name: gpu\n    {text}\n"


def fault(text: str) -> str:
    return pool(f"faults:\n      - {{{text}}}")


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("apiVersion: poolwright/v1\nplant: chatt\n", "2:8", "did you mean `chat`"),
        (f"{HEAD}pools:\n  - name: gpuu\n", "4:11", "did you mean `gpu`"),
        (f"{HEAD}pools:\n  - name: gpu\n  - name: gpu\n", "5:11", "keep one"),
        (pool("speed: {itl_bas: 1ms}"), "5:13", "did you mean `itl_base`"),
        (pool("speed: {itl_base: 0ms}"), "5:23", ""),
        (pool("speed: {max_batch: 0}"), "5:24", ""),
        (pool("startup: 120"), "5:14", "120"),
        (pool("startup_jitter: 120%"), "5:21", ""),
        (pool("serves: [interactive, chat]"), "5:27", "no class `chat`"),
        (fault("kind: melts, at: 20s"), "6:16", "pool_lost"),
        (fault("kind: stockout, at: 20s"), "6:9", "needs `lasts`"),
        (fault("kind: replica_dies, at: 20s, lasts: 1m"), "6:9", "has no `lasts`"),
        (fault("kind: slow, at: 20s, lasts: 1m"), "6:9", "needs a `factor`"),
        (fault("kind: stockout, at: 20s, lasts: 1m, factor: 2"), "6:9", "has no `factor`"),
        (fault("kind: slow, at: 20s, lasts: 1m, factor: 0"), "6:50", ""),
        (fault("kind: slow, at: 20s, lasts: 0s, factor: 2"), "6:38", ""),
        (f"{HEAD}pools: [", "", ""),
        ("", "1:1", "empty"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, text, place, word):
    with pytest.raises(RuleFileError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert f"plant.yaml:{place}" in str(problem)
    assert word in str(problem)


def test_every_problem_is_told_at_once(tmp_path):
    with pytest.raises(RuleFileError) as caught:
        load(tmp_path, pool("startup: 5\n    price: 5\n    stock: -1"))
    assert [problem.line for problem in caught.value.problems] == [5, 6, 7]


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RuleFileError, match=r"nowhere\.yaml"):
        load_plant(tmp_path / "nowhere.yaml", SERVICE)


def folder(tmp_path: Path, **plants: str) -> Path:
    for name, plant in plants.items():
        text = f"apiVersion: poolwright/v1\nplant: {plant}\nsample_interval: 2s\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_of_a_folder_the_file_of_the_service_is_taken(tmp_path):
    spec = load_plant(folder(tmp_path, a="[", b="code", c="chat"), SERVICE)
    assert (spec.service, spec.sample_interval_s) == ("chat", 2.0)


@pytest.mark.parametrize(
    ("plants", "message"),
    [
        (
            {"a": "chat", "b": "chat", "c": "code"},
            "2 plant files of service `chat`: {0}/a.yaml, {0}/b.yaml (name the file)",
        ),
        (
            {"b": "code", "c": "[]"},
            "no plant file of service `chat`; there are: {0}/b.yaml (`code`) (name the file)",
        ),
        (
            {"a": "", "b": ""},
            "no plant file of service `chat`; there are: none (name the file)",
        ),
    ],
)
def test_a_folder_that_leaves_it_open_is_refused(tmp_path, plants, message):
    with pytest.raises(RuleFileError) as caught:
        load_plant(folder(tmp_path, **plants), SERVICE)
    assert str(caught.value) == f"{tmp_path}:1:1: {message.format(tmp_path)}"


def test_the_only_file_of_a_folder_is_told_whose_it_is(tmp_path):
    with pytest.raises(RuleFileError, match=r"a\.yaml:2:8: the rules are of service `chat`"):
        load_plant(folder(tmp_path, a="code"), SERVICE)


def test_the_example_belongs_to_the_rules_of_the_demo():
    service = rulefiles.load(ROOT / "rules" / "coding-assistant.yaml").services[0]
    spec = load_plant(ROOT / "rules" / "plants" / "coding-assistant.yaml", service)
    assert [pool.name for pool in spec.pools] == [pool.name for pool in service.pools]
    assert spec.pools[0].faults
