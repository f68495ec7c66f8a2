"""A journal that cannot be written: nothing is lost, nothing overtakes, and it is told."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from poolwright.errors import JournalError
from poolwright.model.pool import ActionReport, ActionStatus
from poolwright.record.journal import Journal
from poolwright.record.recorder import Recorder


def report(number: int) -> ActionReport:
    return ActionReport("gpu", "d", float(number), ActionStatus.STARTED, number)


def writing(journal: Journal, number: int) -> Callable[[], None]:
    return partial(journal.record_action, report(number), ())


async def test_while_another_process_holds_the_journal_writes_wait_in_their_order(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("poolwright.record.journal.LOCK_S", 0.01)
    path = tmp_path / "journal.db"
    journal, recorder = Journal(path), Recorder()
    assert await recorder.write(writing(journal, 1))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    assert not await recorder.write(writing(journal, 2))
    assert recorder.error is not None
    assert "is a second daemon running" in recorder.error
    holder.execute("rollback")
    # The lock is gone, but what waits goes first: a write never overtakes another.
    assert not await recorder.write(writing(journal, 3))
    assert not await recorder.attempt(partial(journal.save_checkpoint, 1.0, {}, b"too early"))
    assert journal.load_checkpoint() is None
    assert await recorder.retry()
    assert (recorder.error, recorder.errors) == (None, 1)
    assert [action.report.desired for action in journal.actions("d")] == [1, 2, 3]
    assert await recorder.attempt(partial(journal.save_checkpoint, 2.0, {}, b"now"))
    holder.close()
    recorder.close()
    journal.close()


async def test_an_attempt_that_fails_is_not_kept(tmp_path: Path) -> None:
    journal, recorder = Journal(tmp_path / "journal.db"), Recorder()

    def refused() -> None:
        msg = "no"
        raise JournalError(msg)

    assert not await recorder.attempt(refused)
    assert recorder.error == "no"
    assert await recorder.retry()
    assert await recorder.write(writing(journal, 1))
    assert recorder.error is None
    recorder.close()
    journal.close()
