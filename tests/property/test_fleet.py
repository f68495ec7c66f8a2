"""What services share: never too much of it, nobody starves, and nobody else notices.

Fleets of any make run through the whole core; each pool wishes what its script says.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from poolwright.decision import decide_again, dump_state, load_state, new_state, step
from poolwright.decision.fleet import Claim, share_out
from poolwright.model.decision import Decision, Outcome
from poolwright.model.pool import PoolReport
from poolwright.model.rule import (
    Amount,
    Change,
    Condition,
    DirectionLimit,
    FleetRule,
    FleetStock,
    Limits,
    Mode,
    PoolRole,
    PoolRule,
    RuleSet,
    ServiceRule,
    SignalRule,
    Standing,
    ThresholdTrigger,
)
from poolwright.model.tick import Tick

ALWAYS = Condition("true", frozenset(), lambda _: True)
UNKNOWN = Condition("load > 1", frozenset({"load"}), lambda _: None)
LOAD = SignalRule("load", "requests_running", "avg", 30.0, "sum")
LIMITS = Limits(DirectionLimit(Amount(3), 1.0), DirectionLimit(Amount(1), 1.0))
TICK_S = 2.0
SETTLED = 40
"""Ticks after which steps of one replica have come from anywhere to anywhere."""


@dataclass(frozen=True)
class Member:
    """A service with one pool, as the strategies draw it."""

    price: float
    least: int
    most: int
    count: int
    priority: int
    weight: float
    wish: int
    mode: Mode = Mode.ACT
    blind: bool = False
    in_stock: bool = True


def rules_of(members: list[Member], fleet: FleetRule | None) -> RuleSet:
    services = []
    for i, member in enumerate(members):
        pool = PoolRule(
            f"p{i}", PoolRole.DEFAULT, "simulated", {}, member.least, member.most, member.price
        )
        triggers = [ThresholdTrigger("wish", ALWAYS, Change.SET, Amount(member.wish))]
        if member.blind:
            triggers.append(ThresholdTrigger("blind", UNKNOWN, Change.REMOVE, Amount(1)))
        services.append(
            ServiceRule(f"s{i}", member.mode, (), (pool,), (LOAD,), tuple(triggers), LIMITS)
        )
    return RuleSet("r1", tuple(services), fleet=fleet)


def fleet_of(members: list[Member], budget: float | None, stock: int | None) -> FleetRule:
    shared = tuple(f"p{i}" for i, member in enumerate(members) if member.in_stock)
    return FleetRule(
        budget,
        () if stock is None else (FleetStock("h100", stock, shared),),
        {f"s{i}": Standing(m.priority, m.weight) for i, m in enumerate(members)},
    )


class Plant:
    """Providers that obey at once, and the core that tells them."""

    def __init__(self, members: list[Member]) -> None:
        self.counts = [member.count for member in members]
        self.at = 1000.0
        self.state = new_state()
        self.decisions: list[Decision] = []

    def tick(self, rules: RuleSet, silent: frozenset[int] = frozenset()) -> tuple[Decision, ...]:
        self.at += TICK_S
        reports = [
            PoolReport(f"p{i}", self.at, count, count)
            for i, count in enumerate(self.counts)
            if i not in silent
        ]
        self.state, decisions = step(self.state, Tick(self.at, rules, pools=tuple(reports)))
        for decision in decisions:
            if decision.acts:
                self.counts[int(decision.pool[1:])] = decision.desired
        self.decisions += decisions
        return decisions


@st.composite
def member(draw: st.DrawFn, *, plain: bool = False) -> Member:
    least = draw(st.integers(0, 3))
    most = draw(st.integers(max(least, 1), 10))
    return Member(
        price=draw(st.sampled_from([0.0, 1.0, 2.5, 7.0])),
        least=least,
        most=most,
        count=draw(st.integers(least, most)),
        priority=draw(st.integers(-1, 2)),
        weight=draw(st.sampled_from([0.5, 1.0, 2.0])),
        wish=draw(st.one_of(st.integers(1, 12), st.just(12))),
        mode=Mode.ACT if plain else draw(st.sampled_from([Mode.ACT, Mode.ACT, Mode.ACT, *Mode])),
        blind=not plain and draw(st.integers(0, 4)) == 0,
        in_stock=draw(st.integers(0, 3)) > 0,
    )


members_of_any_kind = st.lists(member(), min_size=2, max_size=5)
plain_members = st.lists(member(plain=True), min_size=2, max_size=5)
parts = st.one_of(st.none(), st.integers(0, 110).map(lambda percent: percent / 100))
"""Of all that is wished for: what there is of budget or stock; None: no such limit."""


def budget_of(members: list[Member], part: float | None) -> float | None:
    wished = sum(m.price * min(m.wish, m.most) for m in members)
    return None if part is None else part * wished


def stock_of(members: list[Member], part: float | None) -> int | None:
    wished = sum(min(m.wish, m.most) for m in members if m.in_stock)
    return None if part is None else int(part * wished)


def changing(members: list[Member], data: st.DataObject) -> list[Member]:
    """The same pools with other wishes, and telemetry that comes and goes."""
    wishes = data.draw(st.lists(st.integers(1, 12), min_size=len(members), max_size=len(members)))
    blind = data.draw(st.lists(st.booleans(), min_size=len(members), max_size=len(members)))
    return [
        replace(m, wish=wish, blind=b) for m, wish, b in zip(members, wishes, blind, strict=True)
    ]


@given(members_of_any_kind, parts, parts, st.data())
@settings(max_examples=80, deadline=None)
def test_no_more_is_in_use_than_there_is_but_what_was_there_and_minimums(
    members, budget, stock, data
) -> None:
    budget, stock = budget_of(members, budget), stock_of(members, stock)
    plant = Plant(members)
    for _ in range(6):
        now = changing(members, data)
        rules = rules_of(now, fleet_of(now, budget, stock))
        silent = data.draw(st.frozensets(st.integers(0, len(members) - 1), max_size=1))
        for _ in range(data.draw(st.integers(1, 4))):
            before = list(plant.counts)
            decisions = plant.tick(rules, silent)
            pairs = list(zip(now, before, plant.counts, strict=True))
            if budget is not None:
                excused = sum(m.price * max(m.least, old) for m, old, _ in pairs)
                assert sum(m.price * new for m, _, new in pairs) <= max(budget, excused) + 1e-6
            if stock is not None:
                excused = sum(max(m.least, old) for m, old, _ in pairs if m.in_stock)
                assert sum(new for m, _, new in pairs if m.in_stock) <= max(stock, excused)
            assert all(new >= m.least for m, _, new in pairs)
            for m, old, new in pairs:
                assert m.mode is Mode.ACT or new == old
            for decision in decisions:
                if any(proposal.blind for proposal in decision.proposals):
                    assert decision.outcome is not Outcome.SCALE_DOWN
                again = decide_again(rules.services[int(decision.pool[1:])], decision)
                assert again == decision
    plant.state = load_state(dump_state(plant.state))
    plant.tick(rules_of(members, fleet_of(members, budget, stock)))


def blind(price: float, *, in_stock: bool) -> Member:
    return Member(price=price, least=0, most=1, count=0, priority=0, weight=0.5, wish=12,
                  mode=Mode.ACT, blind=True, in_stock=in_stock)  # fmt: skip


@given(st.one_of(plain_members, members_of_any_kind), parts, parts)
@example(
    # Two that cannot pay must not keep the last of the stock from one that need not.
    [blind(0.0, in_stock=False), *[blind(1.0, in_stock=True)] * 2, blind(0.0, in_stock=True)],
    0.0,
    0.34,
)
@settings(max_examples=150, deadline=None)
def test_counts_converge_and_nobody_lacks_what_lower_priorities_could_give(
    members, budget, stock
) -> None:
    budget, stock = budget_of(members, budget), stock_of(members, stock)
    plant = Plant(members)
    rules = rules_of(members, fleet_of(members, budget, stock))
    for _ in range(SETTLED):
        plant.tick(rules)
    settled = list(plant.counts)
    for _ in range(5):
        plant.tick(rules)
    assert plant.counts == settled

    def could_have(i: int, capacity: float, units: list[float]) -> bool:
        """Whether one more replica fits once all of lower priority are at their least."""
        in_use = 0.0
        for m, count, unit in zip(members, settled, units, strict=True):
            gives = m.mode is Mode.ACT and not m.blind and m.priority < members[i].priority
            in_use += unit * (min(count, m.least) if gives else count)
        return in_use + units[i] <= capacity + 1e-6

    for i, m in enumerate(members):
        if m.mode is not Mode.ACT or settled[i] >= min(max(m.wish, m.least), m.most):
            continue
        fits = []
        if budget is not None and m.price:
            fits.append(could_have(i, budget, [other.price for other in members]))
        if stock is not None and m.in_stock:
            fits.append(could_have(i, stock, [float(other.in_stock) for other in members]))
        assert fits, "nothing that is shared holds it back"
        assert not all(fits)


@given(plain_members, st.integers(0, 110).map(lambda percent: percent / 100))
@settings(max_examples=80, deadline=None)
def test_equals_have_fair_shares_within_one_replica(members, stock) -> None:
    members = [replace(m, in_stock=True, priority=0) for m in members]
    stock = stock_of(members, stock)
    plant = Plant(members)
    rules = rules_of(members, fleet_of(members, None, stock))
    for _ in range(SETTLED):
        plant.tick(rules)
    for i, lacking in enumerate(members):
        if plant.counts[i] >= min(max(lacking.wish, lacking.least), lacking.most):
            continue
        for j, other in enumerate(members):
            above = plant.counts[j] - 1
            if above >= other.least:
                assert above / other.weight <= plant.counts[i] / lacking.weight + 1e-9


@given(plain_members, st.integers(0, 120).map(float), st.integers(0, 60).map(float))
@settings(max_examples=50, deadline=None)
def test_a_lowered_budget_is_met_as_far_as_minimums_let_it(members, before, after) -> None:
    plant = Plant(members)
    for budget in (before, after):
        rules = rules_of(members, fleet_of(members, budget, None))
        for _ in range(SETTLED):
            plant.tick(rules)
    cost = sum(m.price * count for m, count in zip(members, plant.counts, strict=True))
    assert cost <= max(after, sum(m.price * m.least for m in members)) + 1e-6


@given(members_of_any_kind, st.data())
@settings(max_examples=50, deadline=None)
def test_who_is_not_limited_decides_byte_for_byte_as_without_a_fleet(members, data) -> None:
    members = [replace(m, in_stock=False) for m in members]
    other = replace(members[0], in_stock=True, wish=12, price=0.0)
    all_of_them = [*members, other]
    ample = sum(m.price * max(m.most, m.count) for m in all_of_them)
    alone, shared = Plant(all_of_them), Plant(all_of_them)
    for _ in range(5):
        now = [*changing(members, data), other]
        for _ in range(2):
            alone.tick(rules_of(now, None))
            shared.tick(rules_of(now, fleet_of(now, ample, 0)))
    unaffected = [
        [d for d in plant.decisions if d.service != f"s{len(members)}"] for plant in (alone, shared)
    ]
    assert unaffected[0] == unaffected[1]


def priced(price: float, *counts: int, priority: int = 0, weight: float = 1.0,
           blind: bool = False) -> Member:  # fmt: skip
    """`counts`: least, most, the count at the start, and the wish."""
    least, most, count, wish = counts
    return Member(price, least, most, count, priority, weight, wish, blind=blind, in_stock=False)


@given(members_of_any_kind, parts, parts)
@example(
    # The last one shrinks by itself. Meanwhile the third must not give back what it is to keep.
    [priced(2.5, 0, 1, 0, 1, blind=True), priced(1.0, 0, 1, 0, 1),
     priced(1.0, 0, 3, 3, 1, priority=1)],
    1.0, None,
)  # fmt: skip
@example(
    [priced(2.5, 1, 1, 1, 5, blind=True), priced(1.0, 1, 6, 2, 4, weight=2.0),
     priced(1.0, 1, 4, 3, 1, priority=1, weight=2.0), priced(7.0, 0, 1, 0, 3)],
    1.0, None,
)  # fmt: skip
@example(
    [priced(2.5, 0, 6, 2, 6, priority=1, weight=0.5),
     priced(1.0, 0, 2, 0, 5, priority=1, blind=True), priced(1.0, 0, 3, 0, 3, weight=2.0),
     priced(1.0, 0, 6, 6, 1, priority=1, weight=0.5)],
    1.05, None,
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_with_constant_wishes_nobody_goes_back_and_forth(members, budget, stock) -> None:
    """After it was asked back, nothing is given anew to be asked back again."""
    budget, stock = budget_of(members, budget), stock_of(members, stock)
    plant = Plant(members)
    rules = rules_of(members, fleet_of(members, budget, stock))
    history = [list(plant.counts)]
    for _ in range(SETTLED):
        plant.tick(rules)
        history.append(list(plant.counts))
    for counts in zip(*history, strict=True):
        changes = [b - a for a, b in pairwise(counts) if a != b]
        turns = sum((a > 0) != (b > 0) for a, b in pairwise(changes))
        assert turns <= 1
    assert all(d.outcome is not Outcome.ADVISE or d.desired != d.current for d in plant.decisions)


# --- services of several pools, and stock of several kinds: the shares alone ----------------


@st.composite
def fleet_claims(draw: st.DrawFn) -> tuple[FleetRule, list[Claim]]:
    claims = []
    for i in range(draw(st.integers(2, 5))):
        standing = Standing(draw(st.integers(0, 1)), draw(st.sampled_from([0.5, 1.0, 3.0])))
        for j in range(draw(st.integers(1, 3))):
            least = draw(st.sampled_from([0, 0, 1, 2]))
            most = draw(st.integers(max(least, 1), 8))
            claims.append(
                Claim(
                    service=f"s{i}",
                    pool=f"s{i}-{j}",
                    standing=standing,
                    price_usd_per_hour=draw(st.sampled_from([0.0, 1.0, 2.5, 7.0])),
                    current=draw(st.integers(0, most)),
                    wish=draw(st.integers(least, most)),
                    least=least,
                    bound=most,
                    movable=True,
                )
            )
    wished = sum(c.price_usd_per_hour * c.wish for c in claims)
    kinds = [claims[::3], claims[1::3]]
    stock = [
        FleetStock(f"k{i}", draw(st.integers(0, 1 + sum(c.wish for c in kind))), _pools(kind))
        for i, kind in enumerate(kinds)
    ]
    part = draw(parts)
    return FleetRule(None if part is None else part * wished, tuple(stock), {}), claims


def _pools(claims: list[Claim]) -> tuple[str, ...]:
    return tuple(claim.pool for claim in claims)


def played(fleet: FleetRule, claims: list[Claim], slow: list[int]) -> list[int]:
    """Where the pools come to rest; each gives up what it does not wish after `slow` ticks."""
    history = [[claim.current for claim in claims]]
    for tick in range(SETTLED):
        rooms = share_out(fleet, claims)
        counts = []
        for claim, ticks in zip(claims, slow, strict=True):
            room = rooms.get(claim.pool)
            wish = claim.wish if tick >= ticks else max(claim.wish, claim.current)
            goal = max(claim.least, wish if room is None else min(wish, room.most))
            counts.append(claim.current + max(-1, min(1, goal - claim.current)))
        claims = [replace(c, current=count) for c, count in zip(claims, counts, strict=True)]
        history.append(counts)
    for counts in zip(*history, strict=True):
        assert list(counts) in (sorted(counts), sorted(counts, reverse=True))
    return history[-1]


@given(fleet_claims(), st.data())
@settings(max_examples=50, deadline=None)
def test_nobody_turns_and_the_rest_does_not_depend_on_the_start(drawn, data) -> None:
    fleet, claims = drawn
    slow = data.draw(st.lists(st.integers(0, 12), min_size=len(claims), max_size=len(claims)))
    elsewhere = [replace(c, current=data.draw(st.integers(0, c.bound))) for c in claims]
    rest = played(fleet, claims, slow)
    assert rest == played(fleet, elsewhere, slow)
    settled = [replace(c, current=count) for c, count in zip(claims, rest, strict=True)]
    assert all(count <= max(c.wish, c.least) for c, count in zip(claims, rest, strict=True))
    rooms = share_out(fleet, settled)
    assert all(rooms[c.pool].most >= c.current for c in settled if c.pool in rooms)
