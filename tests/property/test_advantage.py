"""With any demand, prices and times: being quicker never raises what the plan asks for."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.mix_bench import QUICK, SLOW, Fleet, advantage, pool

from poolwright.capacity.advantage import Holding

HELD = "{{performance: 30%, held_for: {held}, min_utilisation: {floor}%}}"


def fleet(case, *, held: str = "0s", quicker: bool) -> Fleet:
    rate, gpu_usd, wse_usd, most, floor, _, itl_s = case
    found = Fleet(
        pool("gpu", "default", gpu_usd, SLOW, replicas=f"{{min: 0, max: {most}}}"),
        pool("wse", "accelerator", wse_usd, QUICK, replicas="{min: 0, max: 3}",
             advantage=HELD.format(held=held, floor=floor)),
        chat=rate,
    )  # fmt: skip
    if quicker:
        found.ended("gpu", 0.02)
        found.ended("wse", itl_s)
    return found


cases = st.tuples(
    st.integers(0, 60),
    st.floats(0.5, 20.0).map(lambda usd: round(usd, 2)),
    st.floats(0.5, 60.0).map(lambda usd: round(usd, 2)),
    st.integers(1, 25),
    st.integers(0, 60),
    st.booleans(),
    st.floats(0.0005, 0.05),
)


@given(cases, st.integers(0, 25), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_better_p95_opens_the_gate_for_the_cheapest_plan_and_for_nothing_else(
    case, gpu: int, wse: int
) -> None:
    granted, floor = case[5], case[4] / 100.0
    asked = fleet(case, quicker=True)
    asked.planner.holdings["wse"] = Holding(granted=granted, changed_at=0.0)
    plan = asked.plan(gpu=gpu, wse=wse)
    # The same without a p95; and with the gate open whatever speaks for it.
    closed = fleet(case, quicker=False).plan(gpu=gpu, wse=wse)
    opened = fleet(case, held="9h", quicker=False)
    opened.planner.holdings["wse"] = Holding(granted=True, changed_at=0.0)
    cheapest = opened.plan(gpu=gpu, wse=wse)
    found = advantage(plan)
    assert plan["wse"].share == (cheapest if found.granted else closed)["wse"].share
    if found.granted:
        itl = next(one for one in found.comparisons if one.time == "itl")
        assert itl.margin is not None
        assert itl.margin >= 0.3 * 0.8 - 1e-6
        without, with_it = found.alternatives
        assert with_it.usd_per_hour <= without.usd_per_hour or with_it.unserved < without.unserved
        assert found.utilisation is not None
        assert found.utilisation >= 0.8 * floor


@given(cases, st.integers(0, 25), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_where_the_gate_is_open_anyway_a_p95_changes_no_count(case, gpu: int, wse: int) -> None:
    shares = []
    for quicker in (False, True):
        asked = fleet(case, held="9h", quicker=quicker)
        asked.planner.holdings["wse"] = Holding(granted=True, changed_at=0.0)
        plan = asked.plan(gpu=gpu, wse=wse)
        shares.append({name: item.share for name, item in plan.items()})
    assert shares[0] == shares[1]
