"""Plays every contender of a plan in worker processes, each with the setting that suits it best."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context

from poolwright.backtest.contenders import BASELINE, Job, finer_jobs, first_jobs, run_job
from poolwright.backtest.figures import Run
from poolwright.backtest.searching import best
from poolwright.backtest.world import Plan, World, world_of
from poolwright.model.rule import ClassRule

Progress = Callable[[int, int], None]
"""Told how many jobs are done and how many there are, as far as is known by then."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """A contender on a trace: its best run, whether that keeps the SLOs, and all that was tried."""

    best: Run
    keeps: bool
    tried: tuple[tuple[float, float], ...]
    """Of every run: USD, and missed requests as a multiple of those that may miss."""


class Worlds:
    """The worlds of a plan, each made once in a process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._made: dict[tuple[int, bool], World] = {}

    def of(self, trace: int, contender: str) -> World:
        key = trace, contender == BASELINE
        if key not in self._made:
            self._made[key] = world_of(self._plan, trace, baseline=key[1])
        return self._made[key]

    def play(self, job: Job) -> Run:
        return run_job(self.of(job.trace, job.contender), job)


class _Board:
    """What is to be played and what came of it; a contender's second round follows its first."""

    def __init__(self, plan: Plan, contenders: tuple[str, ...], progress: Progress) -> None:
        self.worlds = Worlds(plan)
        self._progress = progress
        self._runs: dict[tuple[int, str], list[Run]] = {}
        self._left: dict[tuple[int, str], int] = {}
        self._finer: set[tuple[int, str]] = set()
        self.first: list[Job] = []
        for trace in range(len(plan.traces)):
            for contender in contenders:
                jobs = first_jobs(self.worlds.of(trace, contender), trace, contender)
                self._left[trace, contender] = len(jobs)
                self.first += jobs
        self._done, self._total = 0, len(self.first)
        progress(0, self._total)

    def finished(self, run: Run) -> list[Job]:
        """Takes a run; gives what is to be played because of it."""
        key = run.trace, run.contender
        runs = self._runs.setdefault(key, [])
        runs.append(run)
        self._left[key] -= 1
        more: list[Job] = []
        if not self._left[key] and key not in self._finer:
            self._finer.add(key)
            more = finer_jobs(runs, best(_in_order(runs), self._classes(key)))
            self._left[key] = len(more)
        self._done, self._total = self._done + 1, self._total + len(more)
        self._progress(self._done, self._total)
        return more

    def sweeps(self) -> dict[tuple[int, str], Sweep]:
        return {key: _sweep(runs, self._classes(key)) for key, runs in self._runs.items()}

    def _classes(self, key: tuple[int, str]) -> tuple[ClassRule, ...]:
        return self.worlds.of(*key).goals


def sweep_all(
    plan: Plan, contenders: tuple[str, ...], *, jobs: int, progress: Progress
) -> dict[tuple[int, str], Sweep]:
    """By trace and contender. With `jobs` 1 everything is played in this process."""
    board = _Board(plan, contenders, progress)
    if jobs == 1:
        _play_here(board)
    else:
        _play_in_workers(board, plan, jobs)
    return board.sweeps()


def _play_here(board: _Board) -> None:
    todo = deque(board.first)
    while todo:
        job = todo.popleft()
        todo.extend(board.finished(board.worlds.play(job)))


def _play_in_workers(board: _Board, plan: Plan, jobs: int) -> None:
    # Spawned: a fork would copy the locks of this process's threads as they stand.
    context = get_context("spawn")
    workers = ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(plan,))
    try:
        todo: set[Future[Run]] = {workers.submit(_play, job) for job in board.first}
        while todo:
            finished, todo = wait(todo, return_when=FIRST_COMPLETED)
            for future in finished:
                todo |= {workers.submit(_play, job) for job in board.finished(future.result())}
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


def _in_order(runs: list[Run]) -> list[Run]:
    """Runs end in any order in worker processes; the choice must not depend on it."""
    return sorted(runs, key=lambda run: (run.variant, run.value))


def _sweep(runs: list[Run], classes: tuple[ClassRule, ...]) -> Sweep:
    ordered = _in_order(runs)
    chosen = best(ordered, classes)
    tried = tuple((run.cost_usd, run.missed_of_allowed(classes)) for run in ordered)
    return Sweep(chosen, chosen.keeps(classes), tried)


_worlds: list[Worlds] = []
"""Of a worker process: the one plan that it plays in its life."""


def _start(plan: Plan) -> None:
    _worlds[:] = [Worlds(plan)]


def _play(job: Job) -> Run:
    return _worlds[0].play(job)
