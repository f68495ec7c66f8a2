"""The journal's file format, as the steps that lead from each version to the next.

A new file goes through all of them, an old one through those that it lacks, in one transaction: a
step that fails leaves the file as it was. A step is never changed once it was released.
"""

import sqlite3
from collections.abc import Sequence

Step = Sequence[str]

STEPS: tuple[Step, ...] = (
    (
        (
            "create table if not exists ticks ("
            " at real not null, revision text not null, decisions integer)"
        ),
        (
            "create table if not exists decisions ("
            " n integer primary key, id text not null unique, at real not null,"
            " service text not null, pool text not null, outcome text not null, body blob not null)"
        ),
        "create index if not exists decisions_pool on decisions (pool, n)",
        (
            "create table if not exists actions ("
            " n integer primary key, decision_id text not null, at real not null,"
            " pool text not null, status text not null, body blob not null)"
        ),
        "create index if not exists actions_decision on actions (decision_id, n)",
        "create table if not exists rules (revision text primary key, sources blob not null)",
        "create table if not exists spans (decision_id text, body blob not null)",
        "create index if not exists spans_decision on spans (decision_id)",
        (
            "create table if not exists checkpoint ("
            " one integer primary key check (one = 1), at real not null, offsets blob not null,"
            " state blob not null)"
        ),
    ),
    (
        # Retention and the rebuilding of traces look decisions up by time, and keep the last
        # change of every pool.
        "create index decisions_at on decisions (at)",
        (
            "create index decisions_changes on decisions (pool, n)"
            " where outcome in ('scale_up', 'scale_down')"
        ),
        "create index ticks_at on ticks (at)",
    ),
)
VERSION = len(STEPS)


def version_of(db: sqlite3.Connection) -> int:
    """0 for a file that nobody has written to."""
    return int(db.execute("pragma user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Brings the file to the newest format. The connection must be in autocommit mode."""
    if version_of(db) == len(steps):
        return
    db.execute("begin immediate")
    try:
        # Asked again inside: another process may have been quicker.
        for step in steps[version_of(db) :]:
            for statement in step:
                db.execute(statement)
        db.execute(f"pragma user_version={len(steps)}")
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
