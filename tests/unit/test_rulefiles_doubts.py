"""What loads and is probably not meant, and what cannot be meant: told with place and remedy."""

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poolwright.cli.commands import app
from poolwright.clock import VirtualClock
from poolwright.errors import RuleFileError
from poolwright.rulefiles import load, load_sources
from poolwright.runtime.daemon import Daemon
from poolwright.settings import Settings

ROOT = Path(__file__).parents[2]
RULES = """\
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s, itl: 50ms}
  batch: {e2e: 10m}
pools:
  - name: gpu
    provider: {simulated: {}}
    replicas: {min: 2, max: 24}
    price: 20 USD/h
    startup: 3m
  - name: wse
    role: accelerator
    provider: {simulated: {}}
    replicas: {min: 0, max: 2}
    price: 90 USD/h
    serves: [interactive]
    profile: {itl_base: 1ms, itl_per_request: 1ms, prefill_base: 1ms, prefill_per_token: 1ms, max_batch: 8}
    advantage: {economic: 15%}
triggers:
  - {name: meet-slo, slo: interactive}
  - {name: ahead, forecast: {horizon: 5m}}
  - {name: ramp, schedule: {start: "30 7 * * MON-FRI", tz: Europe/Paris, lasts: 4h, min: 8}}
limits:
  budget: 400 USD/h
"""  # noqa: E501
PROFILE = RULES.splitlines(keepends=True)[17]
SLO = "  - {name: meet-slo, slo: interactive}\n"

# what is not meant: (what is replaced, by what, the warnings)
DOUBTS = {
    "itl in s": (
        "itl: 50ms",
        "itl: 50s",
        (
            "4:32: `itl: 50s` of class `interactive` is more than its `ttft: 2s` (is the unit"
            " right? itl is often some ms, ttft some s, e2e some s or m)"
        ),
    ),
    "e2e below ttft": (
        "ttft: 2s, itl: 50ms",
        "ttft: 2s, itl: 50ms, e2e: 1s",
        (
            "4:23: `ttft: 2s` of class `interactive` is more than its `e2e: 1s` (is the unit"
            " right? itl is often some ms, ttft some s, e2e some s or m)"
        ),
    ),
    "GPU without a price": (
        "    price: 20 USD/h\n",
        "",
        (
            "7:5: pool `gpu` has no price: it counts as 1 USD/h where the cost with and without"
            " accelerator `wse` is compared (add price: … USD/h)"
        ),
    ),
    "accelerator without a price": (
        "    price: 90 USD/h\n",
        "",
        (
            "12:5: pool `wse` has no price: it counts as 1 USD/h where the cost with and without"
            " accelerator `wse` is compared (add price: … USD/h)"
        ),
    ),
    "accelerator without a profile": (
        PROFILE,
        "",
        (
            "12:5: accelerator pool `wse` has no profile: until requests have ended in it, it is"
            " taken for a GPU, so it hardly grows from no replica (declare its speed: profile:"
            " {itl_base: …, …}; or set min: 1)"
        ),
    ),
    "accelerator without an slo": (
        SLO,
        "",
        (
            "12:5: accelerator pool `wse` never grows: no `slo` trigger judges it (add one, such"
            " as - {name: meet-slo, slo: interactive})"
        ),
    ),
    "slo of another class": (
        "slo: interactive",
        "slo: batch",
        (
            "12:5: accelerator pool `wse` never grows: no `slo` trigger judges it (add one, such"
            " as - {name: meet-slo, slo: interactive})"
        ),
    ),
    "class for accelerators alone": (
        "    startup: 3m\n",
        "    startup: 3m\n    serves: [batch]\n",
        (
            "4:16: class `interactive` is served by `wse` alone, which may have no replica"
            " (let a default pool serve it, too, or set min: 1)"
        ),
    ),
    "horizon below the start-up": (
        "horizon: 5m",
        "horizon: 2m",
        (
            "22:39: `2m` is shorter than a start of pool `gpu` (180 s): what is ordered then comes"
            " too late (write horizon: startup, or a longer time)"
        ),
    ),
    "budget below the minimums": (
        "budget: 400",
        "budget: 30",
        (
            "25:11: the minimums of the pools cost 40 USD/h, more than the budget"
            " (minimums come first: lower them, or raise it)"
        ),
    ),
}

# what cannot be meant: (what is replaced, by what, the problem)
WRONG = {
    "class that nobody serves": (
        "    startup: 3m\n",
        "    startup: 3m\n    serves: [interactive]\n",
        (
            "5:3: no pool serves class `batch` (name it in the `serves` of a pool, or delete the"
            " class)"
        ),
    ),
    "slo of a class without a time": (
        "{ttft: 2s, itl: 50ms}",
        "{attainment: 90%}",
        (
            "21:27: class `interactive` has no time that could be met (give it one under classes:"
            " interactive: {ttft: 2s}, or itl, or e2e)"
        ),
    ),
    "negative duration": (
        "startup: 3m",
        "startup: -3m",
        "11:14: `-3m` is negative (write a duration from 0s on)",
    ),
    "negative number": (
        "startup: 3m",
        "startup: -3",
        "11:14: `-3` is negative (write a duration from 0s on)",
    ),
    "cron that never comes": (
        "30 7 * * MON-FRI",
        "0 0 31 2 *",
        (
            "23:36: cron `0 0 31 2 *` never comes: no such month has a day 31 (correct the day or"
            " the month)"
        ),
    ),
    "city": (
        "Europe/Paris",
        "new york",
        "23:60: unknown time zone `new york` (did you mean `America/New_York`?)",
    ),
    "abbreviation": (
        "Europe/Paris",
        "CEST",
        (
            "23:60: unknown time zone `CEST` (write one like Europe/Paris: abbreviations and"
            " offsets know no summer time)"
        ),
    ),
    "offset": (
        "Europe/Paris",
        "UTC+2",
        (
            "23:60: unknown time zone `UTC+2` (write one like Europe/Paris: abbreviations and"
            " offsets know no summer time)"
        ),
    ),
    "no zone at all": (
        "Europe/Paris",
        "xqzw",
        "23:60: unknown time zone `xqzw` (write one like Europe/Paris or UTC)",
    ),
}


def changed(old: str, new: str) -> str:
    assert old in RULES
    return RULES.replace(old, new, 1)


def warnings_of(text: str) -> list[str]:
    return [str(warning) for warning in load_sources({"r.yaml": text}).warnings]


@pytest.mark.parametrize("name", DOUBTS)
def test_what_is_probably_not_meant_is_warned_of(name: str) -> None:
    old, new, warning = DOUBTS[name]
    assert warnings_of(changed(old, new)) == [f"r.yaml:{warning}"]


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_meant_is_refused(name: str) -> None:
    old, new, problem = WRONG[name]
    with pytest.raises(RuleFileError) as caught:
        load_sources({"r.yaml": changed(old, new)})
    assert str(caught.value) == f"r.yaml:{problem}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("horizon: 5m", "horizon: startup"),
        ("itl: 50ms}", "itl: 2s}"),
        ("{min: 0, max: 2}\n    price: 90 USD/h", "{min: 1, max: 2}\n    price: 9 USD/h"),
    ],
)
def test_nothing_is_doubted_that_may_well_be_meant(old: str, new: str) -> None:
    assert warnings_of(RULES.replace(old, new)) == []


def test_an_accelerator_that_is_always_there_needs_no_profile_nor_another_pool() -> None:
    text = changed(PROFILE, "").replace("{min: 0, max: 2}", "{min: 1, max: 2}")
    assert warnings_of(text.replace("startup: 3m\n", "startup: 3m\n    serves: [batch]\n")) == []


def test_without_an_accelerator_a_price_matters_to_a_budget_only() -> None:
    alone = RULES[: RULES.index("  - name: wse")] + RULES[RULES.index("triggers:") :]
    priceless = alone.replace("    price: 20 USD/h\n", "")
    assert warnings_of(priceless) == [
        "r.yaml:7:5: pool `gpu` has no price and costs the budget nothing (add price: … USD/h)"
    ]
    assert warnings_of(priceless[: priceless.index("limits:")]) == []


def test_what_follows_from_another_mistake_is_not_told() -> None:
    for old, new in (
        ("serves: [interactive]", "serves: [interactve]"),
        ("  interactive: {ttft: 2s, itl: 50ms}", "  interactive: {ttft: 2, itl: 50ms}"),
        ("  batch: {e2e: 10m}", "  batch: {e2e: 10}"),
    ):
        text = changed(old, new).replace("startup: 3m\n", "startup: 3m\n    serves: [batch]\n")
        with pytest.raises(RuleFileError) as caught:
            load_sources({"r.yaml": text})
        assert len(caught.value.problems) == 1


def test_the_examples_leave_no_doubt() -> None:
    assert load(ROOT / "rules").warnings == ()


def test_check_shows_a_warning_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(changed("horizon: 5m", "horizon: 2m"))
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 0
    assert ran.stderr.splitlines()[0].startswith(f"warning: {path}:22:39: `2m` is shorter")
    assert ran.stderr.splitlines()[1].endswith("- {name: ahead, forecast: {horizon: 2m}}")
    assert ran.stderr.splitlines()[2].endswith("^")


async def test_the_daemon_logs_what_is_doubted_at_a_reload(tmp_path: Path, caplog) -> None:
    (tmp_path / "r.yaml").write_text(RULES)
    daemon = Daemon(Settings(rules=tmp_path, data=tmp_path / "data"), VirtualClock())
    (tmp_path / "r.yaml").write_text(changed("horizon: 5m", "horizon: 2m"))
    with caplog.at_level(logging.WARNING, "poolwright"):
        daemon.in_force.use(load(tmp_path), None)
    assert [record.message.partition(": ")[2][:16] for record in caplog.records] == [
        "`2m` is shorter "
    ]
    daemon.recorder.close()
    daemon.tracing.close()
    daemon.journal.close()
