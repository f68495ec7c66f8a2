"""The journal keeps decisions exactly, in order, and says what to do when it cannot."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from poolwright.errors import JournalError
from poolwright.model.decision import Decision, Outcome, PoolInputs, Proposal, Reason
from poolwright.model.pool import ActionReport, ActionStatus, Attempt, PoolReport
from poolwright.model.rule import RuleSet
from poolwright.model.sample import TraceContext
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Health
from poolwright.record.explain import explain_dict
from poolwright.record.journal import Journal, StoredAction
from poolwright.record.journal_format import STEPS, VERSION, migrate, version_of
from poolwright.record.recorder import Recorder
from poolwright.record.retention import forget_old
from poolwright.record.sentences import OUTCOMES, REASONS
from poolwright.settings import JournalSettings

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


# --- retention -----------------------------------------------------------------------------


def full_journal(path: Path) -> Journal:
    """Ten decisions a second apart; only the first two change the count of their pools."""
    journal = Journal(path)
    for number in range(1, 11):
        outcome = Outcome.SCALE_UP if number < 3 else Outcome.HOLD
        pool = "tpu" if number == 2 else "gpu"
        one = decision(number, outcome, pool)
        one = replace(one, at=float(number), rules_revision=f"r{number}")
        journal.record_tick(one.at, [one], replace(RULES, revision=one.rules_revision))
        journal.record_action(ActionReport(pool, one.id, one.at, ActionStatus.DONE, 4), [])
        journal.record_spans([(one.id, b"{}")])
    return journal


def left(journal: Journal) -> list[int]:
    return [int(stored.decision.at) for stored in journal.decisions()]


def test_the_old_is_forgotten_in_slices_with_all_that_belongs_to_it(tmp_path) -> None:
    journal = full_journal(tmp_path / "journal.db")
    assert [journal.prune(9.0, limit=4) for _ in range(3)] == [4, 2, 0]
    # The last change of each pool stays, with the rules that explain it.
    assert left(journal) == [1, 2, 9, 10]
    for number in range(1, 11):
        kept = number in left(journal)
        assert bool(journal.actions(f"{number:032x}")) == kept
        assert bool(journal.spans(f"{number:032x}")) == kept
        if kept:
            assert journal.rules(f"r{number}") == RULES.sources
        elif number < 8:
            with pytest.raises(JournalError):
                journal.rules(f"r{number}")
    assert [s.decision.at for s in journal.since(9.5)] == [10.0]
    assert journal.count_since(2.0) == 3
    journal.close()


def test_a_journal_that_is_too_large_forgets_before_its_time(tmp_path) -> None:
    journal = full_journal(tmp_path / "journal.db")
    assert journal.prune(0.0) == 0
    journal.save_checkpoint(10.0, {}, b"x" * 2_000_000)
    assert journal.prune(0.0, max_bytes=1_000_000) == 0, "a checkpoint is no old decision"
    assert journal.prune(0.0, max_bytes=1000, limit=2) == 2
    assert left(journal) == [1, 2, 5, 6, 7, 8, 9, 10]
    journal.close()


# --- format versions -----------------------------------------------------------------------

VERSION_1 = """
create table ticks (at real not null, revision text not null, decisions integer);
create table decisions (
  n integer primary key, id text not null unique, at real not null, service text not null,
  pool text not null, outcome text not null, body blob not null);
create index decisions_pool on decisions (pool, n);
create table actions (
  n integer primary key, decision_id text not null, at real not null, pool text not null,
  status text not null, body blob not null);
create index actions_decision on actions (decision_id, n);
create table rules (revision text primary key, sources blob not null);
create table spans (decision_id text, body blob not null);
create index spans_decision on spans (decision_id);
create table checkpoint (
  one integer primary key check (one = 1), at real not null, offsets blob not null,
  state blob not null);
pragma user_version=1;
"""


def version_1(path: Path, one: Decision) -> None:
    """A file as the first version of the daemon left it."""
    report = ActionReport("gpu", one.id, 101.0, ActionStatus.DONE, 4)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.execute("insert into ticks values (100.0, 'r1', 1)")
        db.execute(
            "insert into decisions values (1, ?, ?, ?, ?, ?, ?)",
            (one.id, one.at, "chat", "gpu", "scale_up", msgspec.json.encode(one)),
        )
        db.execute(
            "insert into actions (decision_id, at, pool, status, body) values (?, ?, ?, ?, ?)",
            (one.id, 101.0, "gpu", "done", msgspec.json.encode(StoredAction(report, ()))),
        )
        db.execute("insert into rules values ('r1', ?)", (msgspec.json.encode(RULES.sources),))
        db.execute("insert into checkpoint values (1, 100.0, ?, ?)", (b'{"t/0":5}', b"state"))
        db.commit()


def test_a_file_of_version_1_is_brought_to_this_version_and_keeps_everything(tmp_path) -> None:
    one = decision(1 << 120)
    version_1(tmp_path / "journal.db", one)
    reader = Journal(tmp_path / "journal.db", read_only=True)
    assert [stored.decision for stored in reader.since(0.0)] == [one], "read before the upgrade"
    reader.close()
    journal = Journal(tmp_path / "journal.db")
    assert version_of(journal._db) == VERSION == len(STEPS)
    new = Journal(tmp_path / "new.db")
    names = "select name, sql from sqlite_master where type = 'index' and sql is not null"
    wanted = {name for name, _ in new._db.execute(names)}
    assert {name for name, _ in journal._db.execute(names)} == wanted
    new.close()
    stored, saved = journal.last_decision("gpu"), journal.load_checkpoint()
    assert stored is not None
    assert saved is not None
    assert (stored.decision, saved.state, saved.offsets) == (one, b"state", {"t/0": 5})
    assert [action.report.status for action in journal.actions(one.id)] == ["done"]
    assert journal.rules("r1") == RULES.sources
    journal.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path) -> None:
    version_1(tmp_path / "journal.db", decision(1))
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        before = list(db.execute("select * from sqlite_master"))
        with pytest.raises(sqlite3.OperationalError):
            migrate(db, (*STEPS, ("create table more (n integer)", "drop table nothing")))
        assert version_of(db) == 1
        assert list(db.execute("select * from sqlite_master")) == before


# --- a disk that is full -------------------------------------------------------------------


def test_what_a_full_disk_refuses_changes_nothing_and_says_what_to_do(tmp_path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.record_tick(100.0, [decision(1)], RULES)
    (pages,) = journal._db.execute("pragma page_count").fetchone()
    journal._db.execute(f"pragma max_page_count={pages}")
    many = [decision(number) for number in range(2, 60)]
    with pytest.raises(JournalError, match="free space on its disk"):
        journal.record_tick(101.0, many, RULES)
    assert len(journal.decisions()) == 1
    journal._db.execute("pragma max_page_count=1000000")
    journal.record_tick(101.0, many, RULES)
    assert len(journal.decisions()) == 59
    journal.close()


async def test_the_daemon_forgets_beside_its_own_writes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("poolwright.record.retention.BETWEEN_SLICES_REAL_S", 0.0)
    journal, recorder = full_journal(tmp_path / "journal.db"), Recorder()
    settings = JournalSettings(keep_days=1.0)
    assert await forget_old(recorder, journal, settings, 86_400.0 + 5.0) == 2
    assert left(journal) == [1, 2, 5, 6, 7, 8, 9, 10]
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as holder:
        monkeypatch.setattr("poolwright.record.journal.LOCK_S", 0.01)
        impatient = Journal(tmp_path / "journal.db")
        holder.execute("begin immediate")
        assert await forget_old(recorder, impatient, settings, 1e9) == 0, "refused, tried later"
        assert recorder.error is None, "what can wait is no reason to stop scaling"
        holder.execute("rollback")
        assert await forget_old(recorder, impatient, settings, 1e9) == 6
        impatient.close()
    recorder.close()
    journal.close()
