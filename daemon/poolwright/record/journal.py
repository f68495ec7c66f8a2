"""The durable record: ticks, decisions with their inputs, actions, rules, spans, checkpoint.

One SQLite file in WAL mode: the daemon writes, `explain`, `status` and `replay` read meanwhile.
Each call is one transaction. The runtime calls it from a single thread of its own.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from poolwright.errors import JournalError
from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, Attempt
from poolwright.model.rule import RuleSet

VERSION = 1
SCHEMA = """
create table if not exists ticks (at real not null, revision text not null, decisions integer);
create table if not exists decisions (
  n integer primary key, id text not null unique, at real not null, service text not null,
  pool text not null, outcome text not null, body blob not null);
create index if not exists decisions_pool on decisions (pool, n);
create table if not exists actions (
  n integer primary key, decision_id text not null, at real not null, pool text not null,
  status text not null, body blob not null);
create index if not exists actions_decision on actions (decision_id, n);
create table if not exists rules (revision text primary key, sources blob not null);
create table if not exists spans (decision_id text, body blob not null);
create index if not exists spans_decision on spans (decision_id);
create table if not exists checkpoint (
  one integer primary key check (one = 1), at real not null, offsets blob not null,
  state blob not null);
"""
SHORTEST_ID = 4
ENDED = ("refused", "given_up", "confirmed")


@dataclass(frozen=True, slots=True)
class StoredDecision:
    decision: Decision
    number: int
    """Order of writing."""


@dataclass(frozen=True, slots=True)
class StoredAction:
    """One status that an action reached, with the provider calls up to then."""

    report: ActionReport
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    at: float
    offsets: Mapping[str, int]
    """`topic/partition` → next offset."""
    state: bytes


_decision = msgspec.json.Decoder(Decision)
_action = msgspec.json.Decoder(StoredAction)


class Journal:
    """Opens or creates the file. Raises JournalError."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._told():
            if read_only:
                if not path.exists():
                    msg = f"{path}: there is no journal here yet; set POOLWRIGHT_DATA to its folder"
                    raise JournalError(msg)
                uri = f"{path.resolve().as_uri()}?mode=ro"
                self._db = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=5.0)
            else:
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    msg = f"{path.parent}: cannot be made ({error}); set POOLWRIGHT_DATA elsewhere"
                    raise JournalError(msg) from error
                self._db = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
                self._db.execute("pragma journal_mode=wal")
                self._db.execute("pragma synchronous=full")
            version = self._db.execute("pragma user_version").fetchone()[0]
            if version > VERSION:
                msg = f"{path}: written by a newer Poolwright (format {version}); upgrade this one"
                raise JournalError(msg)
            if not read_only:
                self._db.executescript(SCHEMA)
                self._db.execute(f"pragma user_version={VERSION}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            # The span exporter has a thread of its own; one transaction at a time.
            with self._lock:
                yield
        except sqlite3.Error as error:
            msg = f"{self.path}: the journal cannot be used: {error}; {_advice(str(error))}"
            raise JournalError(msg) from error

    def close(self) -> None:
        self._db.close()

    # --- writing ---------------------------------------------------------------------------

    def record_tick(self, at: float, decisions: Sequence[Decision], rules: RuleSet) -> None:
        """Decisions are durable when this returns; before that no action may start."""
        rows = [
            (d.id, d.at, d.service, d.pool, d.outcome.value, msgspec.json.encode(d))
            for d in decisions
        ]
        with self._told(), self._db:
            self._db.execute("insert into ticks values (?, ?, ?)", (at, rules.revision, len(rows)))
            self._db.execute(
                "insert or ignore into rules values (?, ?)",
                (rules.revision, msgspec.json.encode(rules.sources)),
            )
            # The same inputs give the same id: writing a decision twice changes nothing.
            self._db.executemany(
                "insert or ignore into decisions (id, at, service, pool, outcome, body)"
                " values (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def record_action(self, report: ActionReport, attempts: Sequence[Attempt]) -> None:
        body = msgspec.json.encode(StoredAction(report, tuple(attempts)))
        with self._told(), self._db:
            self._db.execute(
                "insert into actions (decision_id, at, pool, status, body) values (?, ?, ?, ?, ?)",
                (report.decision_id, report.at, report.pool, report.status.value, body),
            )

    def record_span(self, decision_id: str, body: bytes) -> None:
        with self._told(), self._db:
            self._db.execute("insert into spans values (?, ?)", (decision_id, body))

    def save_checkpoint(self, at: float, offsets: Mapping[str, int], state: bytes) -> None:
        with self._told(), self._db:
            self._db.execute(
                "insert or replace into checkpoint values (1, ?, ?, ?)",
                (at, msgspec.json.encode(offsets), state),
            )

    def prune(self, before: float) -> int:
        """Forgets what is older; returns how many decisions went."""
        with self._told(), self._db:
            gone = self._db.execute("delete from decisions where at < ?", (before,)).rowcount
            self._db.execute("delete from ticks where at < ?", (before,))
            for table in ("actions", "spans"):
                self._db.execute(
                    f"delete from {table} where decision_id not in (select id from decisions)"  # noqa: S608  a constant
                )
        return gone

    # --- reading ---------------------------------------------------------------------------

    def load_checkpoint(self) -> Checkpoint | None:
        with self._told():
            row = self._db.execute("select at, offsets, state from checkpoint").fetchone()
        if row is None:
            return None
        return Checkpoint(row[0], msgspec.json.decode(row[1], type=dict[str, int]), row[2])

    def decision(self, start: str) -> StoredDecision | None:
        """The decision whose id is or starts with `start` (at least 4 characters of it)."""
        if len(start) < SHORTEST_ID:
            return None
        return self._one("where id >= ? and id < ? order by n limit 1", (start, start + "g"))

    def last_decision(self, pool: str | None = None) -> StoredDecision | None:
        """The newest of a pool; of all pools, the newest that acts where there is any."""
        if pool is not None:
            return self._one("where pool = ? order by n desc limit 1", (pool,))
        acts = "where outcome in ('scale_up', 'scale_down', 'advise') order by n desc limit 1"
        return self._one(acts, ()) or self._one("order by n desc limit 1", ())

    def _one(self, clause: str, parameters: tuple[str, ...]) -> StoredDecision | None:
        with self._told():
            row = self._db.execute(
                f"select n, body from decisions {clause}",  # noqa: S608  constants only
                parameters,
            ).fetchone()
        return None if row is None else StoredDecision(_decision.decode(row[1]), row[0])

    def decisions(self, *, limit: int | None = None) -> list[StoredDecision]:
        """In the order of writing; with a limit, the newest ones."""
        with self._told():
            rows = self._db.execute(
                "select n, body from decisions order by n desc limit ?",
                (-1 if limit is None else limit,),
            ).fetchall()
        return [StoredDecision(_decision.decode(body), n) for n, body in reversed(rows)]

    def actions(self, decision_id: str) -> list[StoredAction]:
        with self._told():
            rows = self._db.execute(
                "select body from actions where decision_id = ? order by n", (decision_id,)
            ).fetchall()
        return [_action.decode(row[0]) for row in rows]

    def open_actions(self) -> list[ActionReport]:
        """Actions that started and never ended: the daemon died in between."""
        with self._told():
            rows = self._db.execute(
                "select body from actions where n in (select max(n) from actions"
                " group by decision_id) and status not in (?, ?, ?) order by n",
                ENDED,
            ).fetchall()
        return [_action.decode(row[0]).report for row in rows]

    def rules(self, revision: str) -> Mapping[str, str]:
        """The texts of the rule files of a revision, by file name."""
        with self._told():
            row = self._db.execute(
                "select sources from rules where revision = ?", (revision,)
            ).fetchone()
        if row is None:
            msg = f"{self.path}: the rules of revision {revision} are not in the journal"
            raise JournalError(msg)
        return msgspec.json.decode(row[0], type=dict[str, str])

    def spans(self, decision_id: str) -> list[bytes]:
        with self._told():
            rows = self._db.execute(
                "select body from spans where decision_id = ?", (decision_id,)
            ).fetchall()
        return [row[0] for row in rows]


def _advice(error: str) -> str:
    if "locked" in error:
        return "another process holds it: is a second daemon running on the same POOLWRIGHT_DATA?"
    if "full" in error:
        return "free space on the disk"
    if "malformed" in error or "not a database" in error:
        return "move it aside; the daemon starts a new one, without its memory of cooldowns"
    return "check the folder's permissions (POOLWRIGHT_DATA)"
