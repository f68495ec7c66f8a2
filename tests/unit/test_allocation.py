"""The cheapest mix of pools: worked cases, and all counts tried on small instances."""

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.capacity.allocation import SHORTAGE, SWITCH, Mix, Option, allocate


def option(pool: str, price: float, needs: dict[str, float], *, least=0, most=10, **more) -> Option:
    return Option(pool, price, more.pop("current", 0), least, most, needs, **more)


def test_the_cheapest_pool_takes_all() -> None:
    mix = allocate([option("gpu", 4.0, {"chat": 5.2}), option("wse", 30.0, {"chat": 0.9})])
    assert mix.counts == {"gpu": 6, "wse": 0}
    assert mix.shares["gpu"]["chat"] == pytest.approx(1.0)
    assert mix.usd_per_hour == 24.0
    assert mix.unserved == {"chat": 0.0}


def test_the_rest_that_fills_no_accelerator_goes_to_the_gpus() -> None:
    # Two systems would stand half empty: one, and the GPUs for the rest.
    mix = allocate([option("gpu", 4.0, {"chat": 20.0}, most=50),
                    option("wse", 30.0, {"chat": 1.3})])  # fmt: skip
    assert mix.counts == {"gpu": 5, "wse": 1}
    assert mix.usd_per_hour == 50.0


def test_a_class_goes_only_where_it_may() -> None:
    mix = allocate([option("gpu", 4.0, {"chat": 2.0}), option("wse", 1.0, {"code": 2.0})])
    assert mix.counts == {"gpu": 2, "wse": 2}
    impossible = allocate([option("gpu", 4.0, {"chat": float("inf"), "code": 1.0}),
                           option("wse", 9.0, {"chat": 1.0})])  # fmt: skip
    assert impossible.counts == {"gpu": 1, "wse": 1}


def test_stock_and_bounds_leave_the_rest_to_dearer_pools() -> None:
    options = [option("gpu", 4.0, {"chat": 6.0}, most=3), option("other", 9.0, {"chat": 6.0})]
    assert allocate(options).counts == {"gpu": 3, "other": 3}
    least = [option("gpu", 4.0, {"chat": 2.0}), option("other", 9.0, {"chat": 2.0}, least=1)]
    assert allocate(least).counts == {"gpu": 1, "other": 1}


def test_what_nobody_can_take_is_said() -> None:
    options = [option("gpu", 4.0, {"chat": 8.0}, most=2), option("b", 5.0, {"chat": 8.0}, most=2)]
    mix = allocate(options)
    assert mix.counts == {"gpu": 2, "b": 2}
    assert mix.unserved["chat"] == pytest.approx(0.5)


def test_the_budget_is_kept_but_for_the_minimum() -> None:
    options = [option("gpu", 4.0, {"chat": 6.0}), option("b", 5.0, {"chat": 6.0})]
    mix = allocate(options, 16.0)
    assert mix.counts == {"gpu": 4, "b": 0}
    assert mix.unserved["chat"] == pytest.approx(1 / 3)
    forced = [option("gpu", 4.0, {"chat": 6.0}, least=2), option("b", 5.0, {"chat": 6.0}, least=2)]
    assert allocate(forced, 1.0).counts == {"gpu": 2, "b": 2}


def test_of_equal_mixes_the_one_that_is_there_stays() -> None:
    for current in (0, 1, 2, 3):
        options = [option("a", 4.0, {"chat": 3.0}, current=current),
                   option("b", 4.0, {"chat": 3.0}, current=3 - current)]  # fmt: skip
        assert allocate(options).counts == {"a": current, "b": 3 - current}


def test_what_a_lease_pays_for_is_used_first() -> None:
    options = [option("gpu", 4.0, {"chat": 6.0}),
               option("wse", 30.0, {"chat": 1.0}, current=1, committed=1)]  # fmt: skip
    assert allocate(options).counts == {"gpu": 0, "wse": 1}
    free = [option("gpu", 4.0, {"chat": 6.0}), option("wse", 30.0, {"chat": 1.0}, current=1)]
    assert allocate(free).counts == {"gpu": 6, "wse": 0}


def test_pools_without_a_price_are_told_apart_by_their_counts() -> None:
    mix = allocate([option("a", 0.0, {"chat": 3.0}), option("b", 0.0, {"chat": 3.0})])
    assert sum(mix.counts.values()) == 3


@pytest.mark.parametrize(
    ("need", "most", "budget", "count", "unserved"),
    [(2.2, 10, None, 3, 0.0), (3.0 + 1e-9, 10, None, 3, 0.0), (0.0, 10, None, 1, 0.0),
     (8.0, 4, None, 4, 0.5), (8.0, 10, 8.0, 2, 0.75), (8.0, 10, 0.0, 1, 0.875)],
)  # fmt: skip
def test_one_pool_alone_needs_no_solver(need, most, budget, count, unserved) -> None:
    mix = allocate([option("gpu", 4.0, {"chat": need / 2, "code": need / 2}, least=1, most=most)],
                   budget)  # fmt: skip
    assert mix.counts == {"gpu": count}
    assert mix.unserved["code"] == pytest.approx(unserved, abs=1e-6)
    assert mix.usd_per_hour == 4.0 * count


def test_one_free_pool_knows_no_budget() -> None:
    assert allocate([option("gpu", 0.0, {"chat": 3.0})], 1.0).counts == {"gpu": 3}


def test_no_class_needs_no_more_than_the_minimum() -> None:
    mix = allocate([option("a", 4.0, {}, least=1), option("b", 5.0, {})])
    assert (mix.counts, mix.unserved) == ({"a": 1, "b": 0}, {})


# --- every count tried -------------------------------------------------------------------------

CLASSES = ("chat", "code")


@st.composite
def instances(draw) -> tuple[list[Option], float | None]:
    quarter = st.integers(1, 16).map(lambda n: n / 4)
    options = []
    for number in range(draw(st.integers(2, 3))):
        needs = {name: draw(quarter) for name in CLASSES if draw(st.booleans())}
        least = draw(st.integers(0, 1))
        current = draw(st.integers(0, 4))
        options.append(
            Option(f"p{number}", float(draw(st.integers(1, 9))), current, least,
                   draw(st.integers(least, 4)), needs, draw(st.integers(0, current)))
        )  # fmt: skip
    return options, draw(st.one_of(st.none(), st.integers(0, 40).map(float)))


def least_unserved(options: list[Option], counts: tuple[int, ...]) -> float:
    """Smallest sum of the shares left, of one or two classes, at given counts.

    With two classes it is a linear program in the shares; its optimum lies where each pool serves
    one class first. Every order of pools and preferred classes is tried.
    """
    best = float(len({name for o in options for name in o.needs}))
    for order in permutations(range(len(options))):
        for first in product(CLASSES, repeat=len(options)):
            left = {name: 1.0 for o in options for name in o.needs}
            for i, wanted in zip(order, first, strict=True):
                room = float(counts[i])
                for name in sorted(options[i].needs, key=lambda name, w=wanted: name != w):
                    taken = min(left[name], room / options[i].needs[name])
                    left[name] -= taken
                    room -= taken * options[i].needs[name]
            best = min(best, sum(left.values()))
    return best


def cost(options: list[Option], counts: tuple[int, ...], unserved: float) -> float:
    total = SHORTAGE * max(o.price_usd_per_hour for o in options) * unserved
    for o, count in zip(options, counts, strict=True):
        beyond = max(0, count - o.committed) + SWITCH * abs(count - o.current)
        total += o.price_usd_per_hour * beyond + 1e-6 * count
    return total


def check(options: list[Option], mix: Mix) -> None:
    for o in options:
        assert o.least <= mix.counts[o.pool] <= o.most
        used = sum(o.needs[name] * share for name, share in mix.shares[o.pool].items())
        assert used <= mix.counts[o.pool] + 1e-5
        assert set(mix.shares[o.pool]) <= set(o.needs)
    for name, left in mix.unserved.items():
        taken = sum(shares.get(name, 0.0) for shares in mix.shares.values())
        assert taken + left == pytest.approx(1.0, abs=1e-5)


@given(instances())
@settings(max_examples=60, deadline=None)
def test_no_other_counts_are_cheaper(instance) -> None:
    options, budget = instance
    mix = allocate(options, budget)
    check(options, mix)
    prices = [o.price_usd_per_hour for o in options]
    least = sum(p * o.least for p, o in zip(prices, options, strict=True))
    most = float("inf") if budget is None else max(budget, least)
    spent = lambda counts: sum(p * n for p, n in zip(prices, counts, strict=True))  # noqa: E731
    possible = [counts for counts in product(*(range(o.least, o.most + 1) for o in options))
                if spent(counts) <= most + 1e-9]  # fmt: skip
    best = min(cost(options, counts, least_unserved(options, counts)) for counts in possible)
    found = tuple(mix.counts[o.pool] for o in options)
    assert found in possible
    assert mix.usd_per_hour == pytest.approx(spent(found))
    ours = cost(options, found, least_unserved(options, found))
    assert ours <= best + 1e-3 * max(best, 1.0)
    left = least_unserved(options, found)
    assert sum(mix.unserved.values()) == pytest.approx(left, abs=1e-4)
