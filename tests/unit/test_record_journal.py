"""The journal keeps decisions exactly, in order, and says what to do when it cannot."""

from pathlib import Path

import pytest

from poolwright.errors import JournalError
from poolwright.model.decision import Decision, Outcome, PoolInputs, Proposal, Reason
from poolwright.model.pool import ActionReport, ActionStatus, Attempt, PoolReport
from poolwright.model.rule import RuleSet
from poolwright.model.sample import TraceContext
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Health
from poolwright.record.explain import explain_dict
from poolwright.record.journal import Journal
from poolwright.record.sentences import OUTCOMES, REASONS

RULES = RuleSet("r1", (), {"chat.yaml": "service: chat"})


def decision(number: int, outcome: Outcome = Outcome.SCALE_UP, pool: str = "gpu") -> Decision:
    inputs = PoolInputs(
        100.0,
        "r1",
        "chat",
        pool,
        PoolReport(pool, 99.0, 2, 2),
        (
            Signal("load", SignalStatus.FRESH, 1.5, 0.5, 3, 2, 2),
            Signal("kv", SignalStatus.MISSING, None, None, 0, why=Unhealthy.NEVER_SEEN),
        ),
        Health(),
        0.0,
        (TraceContext("chat", "a" * 32, "b" * 16),),
    )
    proposal = Proposal("t", "target", 4, {"load": 1.5}, ("kv",), None, "detail")
    return Decision(
        f"{number:032x}", 100.0, "chat", pool, 2, 4, outcome, Reason.PROPOSED, (proposal,), (),
        {"ready": 2.0}, "r1", inputs, b"{}",
    )  # fmt: skip


def test_a_decision_comes_back_as_it_was(tmp_path) -> None:
    journal = Journal(tmp_path / "journal.db")
    one = decision(1 << 120)
    journal.record_tick(100.0, [one, one], RULES)
    reader = Journal(tmp_path / "journal.db", read_only=True)
    stored = reader.decision(one.id[:8])
    assert stored is not None
    assert stored.decision == one
    assert len(reader.decisions()) == 1
    assert reader.rules("r1") == RULES.sources
    assert reader.decision("") is None
    with pytest.raises(JournalError, match="revision r2"):
        reader.rules("r2")
    reader.close()
    journal.close()


def test_the_last_decision_of_a_pool_is_the_newest_and_of_all_the_newest_that_acts(
    tmp_path,
) -> None:
    journal = Journal(tmp_path / "journal.db")
    up, hold = decision(1), decision(2, Outcome.HOLD)
    journal.record_tick(100.0, [up, hold], RULES)
    last, of_pool = journal.last_decision(), journal.last_decision("gpu")
    assert last is not None
    assert of_pool is not None
    assert (last.decision.id, of_pool.decision.id) == (up.id, hold.id)
    assert journal.last_decision("other") is None
    journal.close()


def test_actions_that_never_ended_are_found_after_a_restart(tmp_path) -> None:
    journal = Journal(tmp_path / "journal.db")
    attempt = Attempt(100.0, 101.0, "throttled", "429")
    for number, statuses in enumerate(
        [
            [ActionStatus.STARTED],
            [ActionStatus.STARTED, ActionStatus.DONE],
            [ActionStatus.STARTED, ActionStatus.REFUSED],
            [ActionStatus.STARTED, ActionStatus.DONE, ActionStatus.CONFIRMED],
        ]
    ):
        for status in statuses:
            journal.record_action(ActionReport("gpu", f"d{number}", 101.0, status, 4), [attempt])
    assert [report.decision_id for report in journal.open_actions()] == ["d0", "d1"]
    assert journal.actions("d0")[0].attempts == (attempt,)
    journal.close()


def test_a_checkpoint_replaces_the_one_before(tmp_path) -> None:
    journal = Journal(tmp_path / "journal.db")
    assert journal.load_checkpoint() is None
    journal.save_checkpoint(1.0, {"t/0": 5}, b"one")
    journal.save_checkpoint(2.0, {"t/0": 9}, b"two")
    saved = journal.load_checkpoint()
    assert saved is not None
    assert (saved.at, saved.offsets, saved.state) == (2.0, {"t/0": 9}, b"two")
    journal.close()


def test_errors_say_what_to_do(tmp_path) -> None:
    with pytest.raises(JournalError, match="no journal here yet; set POOLWRIGHT_DATA"):
        Journal(tmp_path / "none.db", read_only=True)
    (tmp_path / "bad.db").write_bytes(b"not a database at all, but long enough" * 50)
    with pytest.raises(JournalError, match="move it aside"):
        Journal(tmp_path / "bad.db")
    with pytest.raises(JournalError, match="set POOLWRIGHT_DATA elsewhere"):
        Journal(tmp_path / "bad.db" / "journal.db")
    journal = Journal(tmp_path / "new.db")
    journal._db.execute("pragma user_version=99")
    journal.close()
    with pytest.raises(JournalError, match="newer Poolwright"):
        Journal(tmp_path / "new.db")


def test_every_reason_and_outcome_has_its_sentence() -> None:
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()
    assert set(REASONS) == set(Reason)
    assert set(OUTCOMES) == set(Outcome)
    for reason, sentence in REASONS.items():
        assert f"| `{reason}` | {sentence} |" in page
    assert all(f"`{outcome}`" in page for outcome in Outcome)


def test_explain_for_machines(tmp_path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.record_tick(100.0, [decision(1 << 100)], RULES)
    stored = journal.last_decision()
    assert stored is not None
    body = explain_dict(stored, [])
    assert body["sentence"] == "gpu: scaled up from 2 to 4 replicas: a trigger asked for it"
    journal.close()
