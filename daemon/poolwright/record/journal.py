"""The durable record: ticks, decisions with their inputs, actions, rules, spans, checkpoint.

One SQLite file in WAL mode: the daemon writes, `explain`, `status` and `replay` read meanwhile.
Each call is one transaction, so that a call that fails has changed nothing. The runtime calls it
from a single thread of its own.
"""

import math
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from poolwright.errors import JournalError
from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, Attempt
from poolwright.model.rule import RuleSet
from poolwright.record.journal_format import VERSION, migrate, version_of

SHORTEST_ID = 4
LOCK_S = 5.0
"""How long another process's transaction is waited for."""
ENDED = ("refused", "given_up", "confirmed")
PRUNED_AT_ONCE = 500
"""Decisions that one transaction forgets: some 20 ms in which nothing else is written."""
PAGE = 200
CHANGES = "outcome in ('scale_up', 'scale_down')"
"""Spelled as in the index that answers it."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    decision: Decision
    number: int
    """Order of writing."""


@dataclass(frozen=True, slots=True)
class BriefReport:
    ready: int


@dataclass(frozen=True, slots=True)
class BriefAdvantage:
    granted: bool


@dataclass(frozen=True, slots=True)
class BriefInputs:
    report: BriefReport | None = None
    advantage: BriefAdvantage | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """What a walk through a pool's past needs of each decision."""

    id: str
    at: float
    current: int
    desired: int
    outcome: str
    reason: str
    rules_revision: str
    inputs: BriefInputs


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
_brief = msgspec.json.Decoder(Brief)


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
                self._db = sqlite3.connect(
                    uri, uri=True, check_same_thread=False, timeout=LOCK_S, isolation_level=None
                )
            else:
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    msg = f"{path.parent}: cannot be made ({error}); set POOLWRIGHT_DATA elsewhere"
                    raise JournalError(msg) from error
                self._db = sqlite3.connect(
                    path, check_same_thread=False, timeout=LOCK_S, isolation_level=None
                )
                self._db.execute("pragma journal_mode=wal")
                self._db.execute("pragma synchronous=full")
            version = version_of(self._db)
            if version > VERSION:
                msg = f"{path}: written by a newer Poolwright (format {version}); upgrade this one"
                raise JournalError(msg)
            if not read_only:
                migrate(self._db)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            # The span exporter has a thread of its own; one transaction at a time.
            with self._lock:
                yield
        except sqlite3.Error as error:
            msg = f"{self.path}: the journal cannot be used: {error}; {_advice(str(error))}"
            raise JournalError(msg) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                # A full disk may have ended the transaction already.
                with suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("rollback")
                raise

    def close(self) -> None:
        self._db.close()

    # --- writing ---------------------------------------------------------------------------

    def record_tick(self, at: float, decisions: Sequence[Decision], rules: RuleSet) -> None:
        """Decisions are durable when this returns; before that no action may start."""
        rows = [
            (d.id, d.at, d.service, d.pool, d.outcome.value, msgspec.json.encode(d))
            for d in decisions
        ]
        with self._transaction() as db:
            db.execute("insert into ticks values (?, ?, ?)", (at, rules.revision, len(rows)))
            db.execute(
                "insert or ignore into rules values (?, ?)",
                (rules.revision, msgspec.json.encode(rules.sources)),
            )
            # The same inputs give the same id: writing a decision twice changes nothing.
            db.executemany(
                "insert or ignore into decisions (id, at, service, pool, outcome, body)"
                " values (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def record_action(self, report: ActionReport, attempts: Sequence[Attempt]) -> None:
        body = msgspec.json.encode(StoredAction(report, tuple(attempts)))
        with self._transaction() as db:
            db.execute(
                "insert into actions (decision_id, at, pool, status, body) values (?, ?, ?, ?, ?)",
                (report.decision_id, report.at, report.pool, report.status.value, body),
            )

    def record_spans(self, spans: Sequence[tuple[str, bytes]]) -> None:
        """Keeps (decision id, span) pairs, all or none."""
        with self._transaction() as db:
            db.executemany("insert into spans values (?, ?)", spans)

    def save_checkpoint(self, at: float, offsets: Mapping[str, int], state: bytes) -> None:
        with self._transaction() as db:
            db.execute(
                "insert or replace into checkpoint values (1, ?, ?, ?)",
                (at, msgspec.json.encode(offsets), state),
            )

    def prune(
        self, before: float, *, max_bytes: int | None = None, limit: int = PRUNED_AT_ONCE
    ) -> int:
        """Forgets at most `limit` of the oldest decisions with all that belongs to them.

        Those made before the time `before`, and newer ones while the journal holds more than
        `max_bytes`. The last change of every pool stays: it says why the pool has its count.
        Returns how many went; call it again until none does.
        """
        with self._transaction() as db:
            if max_bytes is not None and self._used_bytes() > max_bytes:
                before = math.inf
            kept = db.execute(
                "select n, body from decisions where n in"  # noqa: S608  a constant
                f" (select max(n) from decisions where {CHANGES} group by pool)"
            ).fetchall()
            marks = ", ".join("?" * len(kept))
            gone = db.execute(
                f"select n, id, at from decisions where at < ? and n not in ({marks})"  # noqa: S608
                " order by at limit ?",
                (before, *(n for n, _ in kept), limit),
            ).fetchall()
            if not gone:
                return 0
            db.executemany("delete from decisions where n = ?", [(n,) for n, _, _ in gone])
            ids = [(decision_id,) for _, decision_id, _ in gone]
            db.executemany("delete from actions where decision_id = ?", ids)
            db.executemany("delete from spans where decision_id = ?", ids)
            db.execute("delete from ticks where at < ?", (gone[-1][2],))
            revisions = [(_brief.decode(body).rules_revision,) for _, body in kept]
            marks = ", ".join("?" * len(revisions))
            db.execute(
                "delete from rules where revision not in (select revision from ticks)"  # noqa: S608
                f" and revision not in ({marks})",
                [revision for (revision,) in revisions],
            )
        return len(gone)

    def _used_bytes(self) -> int:
        """What decisions and their like take; freed pages and the checkpoint do not count."""
        pages, free, size = (
            self._db.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        saved = self._db.execute("select coalesce(sum(length(state)), 0) from checkpoint")
        return int((pages - free) * size - saved.fetchone()[0])

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

    def since(self, at: float) -> Iterator[StoredDecision]:
        """Decisions made from the time `at` on, in the order of writing, a page in memory."""
        n = 0
        while True:
            with self._told():
                rows = self._db.execute(
                    "select n, body from decisions where at >= ? and n > ? order by n limit ?",
                    (at, n, PAGE),
                ).fetchall()
            if not rows:
                return
            for n, body in rows:
                yield StoredDecision(_decision.decode(body), n)

    def count_since(self, at: float) -> int:
        with self._told():
            row = self._db.execute("select count(*) from decisions where at >= ?", (at,)).fetchone()
        return int(row[0])

    def history(self, pool: str) -> Iterator[Brief]:
        """The pool's decisions, the newest first, a page in memory."""
        n = math.inf
        while True:
            with self._told():
                rows = self._db.execute(
                    "select n, body from decisions where pool = ? and n < ?"
                    " order by n desc limit ?",
                    (pool, n, PAGE),
                ).fetchall()
            if not rows:
                return
            n = rows[-1][0]
            for _, body in rows:
                yield _brief.decode(body)

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
    if "full" in error or "disk I/O" in error:
        return "free space on its disk, or look for errors of the disk in the system log"
    if "malformed" in error or "not a database" in error:
        return "move it aside; the daemon starts a new one, without its memory of cooldowns"
    return "check the folder's permissions (POOLWRIGHT_DATA)"
