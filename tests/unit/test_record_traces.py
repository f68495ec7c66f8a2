"""Spans of actions across restarts and successors; exports that end in time; rebuild's options."""

import json
import socket
import time
from pathlib import Path

import pytest
from rich.console import Console

from poolwright.errors import JournalError, SettingsError
from poolwright.model.decision import Decision, Outcome, PoolInputs, Reason
from poolwright.model.pool import ActionReport, ActionStatus, Attempt
from poolwright.model.rule import RuleSet
from poolwright.model.tick import Health
from poolwright.record.action_traces import ActionTraces
from poolwright.record.journal import Journal
from poolwright.record.recorder import Recorder
from poolwright.record.sentences import CAUSES
from poolwright.record.traces import Tracing
from poolwright.runtime.rebuilding import rebuild, seconds_back
from poolwright.settings import Settings, TraceSettings

ROOT = Path(__file__).parents[2]
CALLED = (Attempt(100.5, 101.0),)


def decision(number: int) -> Decision:
    inputs = PoolInputs(100.0, "r1", "chat", "gpu", None, (), Health())
    return Decision(
        f"{number:032x}", 100.0, "chat", "gpu", 2, 4, Outcome.SCALE_UP, Reason.PROPOSED,
        (), (), {}, "r1", inputs, b"{}",
    )  # fmt: skip


def report(of: Decision, status: ActionStatus, cause: str = "") -> ActionReport:
    return ActionReport("gpu", of.id, 102.0, status, 4, cause)


def names(journal: Journal, of: Decision) -> list[str]:
    return sorted(json.loads(body)["name"] for body in journal.spans(of.id))


async def test_an_action_that_a_restart_ended_is_in_its_decisions_trace(tmp_path) -> None:
    journal, recorder = Journal(tmp_path / "journal.db"), Recorder()
    begun, done = decision(1), decision(2)
    journal.record_tick(100.0, [begun, done], RuleSet("r1", ()))
    journal.record_action(report(done, ActionStatus.DONE), CALLED)
    tracing = Tracing(TraceSettings(), journal)
    traces = ActionTraces(tracing, journal, recorder)
    for one in (begun, done):
        ended = report(one, ActionStatus.GIVEN_UP, "daemon_restarted")
        await recorder.write(lambda ended=ended: journal.record_action(ended, ()))
        await traces.reached(ended, ())
    assert tracing.flush(5.0)
    assert names(journal, begun) == ["provider.scale"]
    assert names(journal, done) == ["poolwright.confirm"]
    tracing.close()
    recorder.close()
    journal.close()


async def test_what_a_newer_decision_supersedes_has_its_end_too_and_each_call_once(
    tmp_path,
) -> None:
    journal, recorder = Journal(tmp_path / "journal.db"), Recorder()
    tracing = Tracing(TraceSettings(), journal)
    traces = ActionTraces(tracing, journal, recorder)
    older, newer = decision(1), decision(2)
    traces.begin(older)
    traces.begin(newer)
    await traces.reached(report(older, ActionStatus.STARTED), ())
    await traces.reached(report(older, ActionStatus.DONE), CALLED)
    await traces.reached(report(older, ActionStatus.GIVEN_UP, "superseded"), CALLED)
    await traces.reached(report(newer, ActionStatus.REFUSED, "superseded"), ())
    assert tracing.flush(5.0)
    assert names(journal, older) == ["poolwright.confirm", "provider.attempt", "provider.scale"]
    assert names(journal, newer) == ["provider.scale"]
    tracing.close()
    recorder.close()
    journal.close()


class Broken:
    def record_spans(self, spans) -> None:
        msg = "full"
        raise JournalError(msg)


def test_spans_that_the_journal_refuses_are_counted() -> None:
    tracing = Tracing(TraceSettings(), Broken())
    tracing.trace_decision(decision(1))
    assert tracing.flush(5.0), "nothing waits any more"
    assert (tracing.dropped, tracing.delivered) == (2, 0)
    tracing.close()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_receiver_that_never_answers_holds_nobody_up(protocol) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = TraceSettings(otlp_endpoint=endpoint, protocol=protocol, export_timeout_s=3.0)
        tracing = Tracing(settings, Broken())
        tracing.trace_decision(decision(1))
        started = time.monotonic()
        assert not tracing.flush(0.2)
        assert time.monotonic() - started < 2.0
        tracing.close()
        assert time.monotonic() - started < 2.5, "less than the call would take"
        assert (tracing.dropped, tracing.waiting) == (2, 0)


def test_how_far_back_is_written_as_people_write_it() -> None:
    assert [seconds_back(text) for text in ("30s", "90m", "24h", "7d")] == [
        30.0, 5400.0, 86_400.0, 604_800.0,
    ]  # fmt: skip
    for wrong in ("", "h", "24", "-1h", "1.5h", "soon"):
        with pytest.raises(SettingsError, match="such as 24h"):
            seconds_back(wrong)


def test_without_an_endpoint_rebuilding_says_what_to_set(tmp_path) -> None:
    Journal(tmp_path / "journal.db").close()
    with pytest.raises(SettingsError, match="POOLWRIGHT_TRACING__OTLP_ENDPOINT"):
        rebuild(Settings(data=tmp_path), "24h", None, Console(), Console())


def test_every_documented_cause_has_its_sentence() -> None:
    page = (ROOT / "docs" / "providers.md").read_text()
    assert [cause for cause in CAUSES if f"`{cause}`" not in page] == []
