"""Least cost an hour over a service's pools: a small mixed-integer program, solved by HiGHS.

Counts are whole; how a class's demand is split is not. A pool's need for all of a class's demand
scales with the share that it is given, which is exact for a mean and slightly too little for a
peak; the forecasts of the shares, made afterwards, see the difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SHORTAGE: Final = 1e4
"""Cost of leaving a class unserved, in the dearest replica's price: only when nothing else."""
SWITCH: Final = 0.02
"""Cost of changing a count by one, as a share of the replica's price: ties keep what is there."""
TIE: Final = 1e-6
"""Of what costs nothing, as few as will do."""
INFINITE: Final = math.inf
OPTIONS: Final = (
    ("output_flag", False),
    ("threads", 1),
    ("mip_rel_gap", 1e-6),
    # A heuristic for large programs, which takes ten times as long as solving one of these.
    ("mip_heuristic_run_feasibility_jump", False),
)


@dataclass(frozen=True, slots=True)
class Option:
    """A pool that may be given load. Prices in USD an hour of one replica."""

    pool: str
    price_usd_per_hour: float
    current: int
    least: int
    most: int
    """The pool's bounds, further lowered to what is to be had (stock)."""
    needs: Mapping[str, float]
    """Replicas that all of a class's demand would need here; classes that it may not take lack."""
    committed: int = 0
    """Replicas whose lease is paid for anyway."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What was found: counts, and the share of each class's demand that each pool takes."""

    counts: Mapping[str, int]
    shares: Mapping[str, Mapping[str, float]]
    """Pool → class → share."""
    usd_per_hour: float
    """Of the counts at full price, committed or not."""
    unserved: Mapping[str, float]
    """Share of each class that no pool can take, within bounds, stock and budget."""


def allocate(options: Sequence[Option], budget_usd_per_hour: float | None = None) -> Mix:
    """The cheapest mix that serves every class; of equal ones the nearest to what is there."""
    classes = sorted({name for option in options for name in option.needs})
    if len(options) == 1:
        return _only(options[0], classes, budget_usd_per_hour)
    return _solve(options, classes, budget_usd_per_hour)


def _only(option: Option, classes: Sequence[str], budget_usd_per_hour: float | None) -> Mix:
    need = sum(option.needs.values())
    most = option.most
    if budget_usd_per_hour is not None and option.price_usd_per_hour > 0:
        most = min(most, int(budget_usd_per_hour / option.price_usd_per_hour + 1e-9))
    count = max(option.least, min(most, -int(-(need - 1e-6) // 1)))
    served = min(1.0, count / need) if need > 0 else 1.0
    return Mix(
        {option.pool: count},
        {option.pool: dict.fromkeys(classes, served)},
        count * option.price_usd_per_hour,
        dict.fromkeys(classes, 1.0 - served),
    )


class _Program:
    """Columns and rows of a mixed-integer program, in the order in which they are added."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.upper: list[float] = []
        self.lower: list[float] = []
        self.whole: list[bool] = []
        self.rows: list[tuple[float, float]] = []
        self.starts = [0]
        self.columns: list[int] = []
        self.values: list[float] = []

    def column(
        self, cost: float = 0.0, lower: float = 0.0, upper: float = INFINITE, *, whole: bool = False
    ) -> int:
        self.cost.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        self.whole.append(whole)
        return len(self.cost) - 1

    def row(self, terms: Mapping[int, float], lower: float, upper: float) -> None:
        self.columns += terms.keys()
        self.values += terms.values()
        self.starts.append(len(self.columns))
        self.rows.append((lower, upper))

    def solve(self) -> list[float]:
        """Values of the columns at least cost. The program is feasible by the way it is made."""
        # Late: a service with one pool needs no solver, and most have one.
        import highspy  # noqa: PLC0415

        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = len(self.cost), len(self.rows)
        program.col_cost_, program.col_lower_ = self.cost, self.lower
        program.col_upper_ = self.upper
        program.row_lower_ = [lower for lower, _ in self.rows]
        program.row_upper_ = [upper for _, upper in self.rows]
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        program.integrality_ = [kinds[whole] for whole in self.whole]
        matrix = program.a_matrix_
        matrix.format_ = highspy.MatrixFormat.kRowwise
        matrix.start_, matrix.index_, matrix.value_ = self.starts, self.columns, self.values
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in OPTIONS:
            solver.setOptionValue(option, value)
        solver.passModel(program)
        solver.run()
        return list(solver.getSolution().col_value)


def _solve(
    options: Sequence[Option], classes: Sequence[str], budget_usd_per_hour: float | None
) -> Mix:
    dearest = max((option.price_usd_per_hour for option in options), default=1.0) or 1.0
    program = _Program()
    counts: dict[str, int] = {}
    shares: dict[tuple[str, str], int] = {}
    for o in options:
        price = o.price_usd_per_hour
        count = program.column(TIE, o.least, max(o.least, o.most), whole=True)
        moved = program.column(SWITCH * price)
        # What is committed costs nothing more, what is ordered beyond it does.
        beyond = program.column(price)
        counts[o.pool] = count
        program.row({moved: 1.0, count: -1.0}, -o.current, INFINITE)
        program.row({moved: 1.0, count: 1.0}, o.current, INFINITE)
        program.row({beyond: 1.0, count: -1.0}, -o.committed, INFINITE)
        taken = {}
        for name, need in o.needs.items():
            if need < INFINITE:
                shares[o.pool, name] = share = program.column(upper=1.0)
                taken[share] = -need
        program.row({count: 1.0, **taken}, 0.0, INFINITE)
    unserved = {}
    for name in classes:
        unserved[name] = program.column(SHORTAGE * dearest, upper=1.0)
        among = {share: 1.0 for (_, other), share in shares.items() if other == name}
        program.row({**among, unserved[name]: 1.0}, 1.0, 1.0)
    if budget_usd_per_hour is not None:
        most = max(budget_usd_per_hour, sum(o.price_usd_per_hour * o.least for o in options))
        program.row({counts[o.pool]: o.price_usd_per_hour for o in options}, -INFINITE, most)
    values = program.solve()
    found = {pool: round(values[column]) for pool, column in counts.items()}
    split: dict[str, dict[str, float]] = {o.pool: {} for o in options}
    for (pool, name), column in shares.items():
        # The solver may say -0.0, which is no share that anybody wants to read.
        split[pool][name] = min(max(values[column], 0.0), 1.0) + 0.0
    return Mix(
        found,
        split,
        sum(o.price_usd_per_hour * found[o.pool] for o in options),
        {name: max(0.0, values[column]) for name, column in unserved.items()},
    )
