"""What several services share, a budget and stock, shared out over their pools at each tick.

Each pool makes a claim: what it has, what it wished at its last evaluation, and what it keeps in
any case. From the claims follow two numbers for each pool.

Its *entitlement* is what it would have if all were given out anew. Everybody's least comes first:
the minimum bound; for a pool that cannot shrink (telemetry unhealthy, a freeze, a mode other than
act, not reported) also what it has. The rest goes by priority, and within a priority one replica
at a time to the service that has least for its weight (in USD/h of the budget, in replicas of
stock): max-min fair shares, exact to one replica. A pool is given up to what it wishes or has,
whichever is more: what it does not wish it gives up by itself and at its own pace, unless somebody
of its priority or a higher one needs it sooner.

Its *room* is what it may have now. A pool above its entitlement is asked to give back down to it.
A pool below it may grow only into what is free: what others have and have not given back yet is
theirs. So the sum is never above the budget or the stock but for what was there already and for
minimums; and nobody waits for ever, because entitlements do not depend on how full the fleet is:
whoever stands in the way is asked to go, in steps that its own limits allow. What no claim needs
is dealt out, too, in parts that do not overlap: a wish that arises this very tick need not wait.
Pools that wait have no part in that, or they would take what is being saved up for one replica of
a dearer pool.

With constant wishes the counts reach the entitlements and stay: a pool moves only towards its
entitlement, and entitlements change only with claims. There no pool lacks a replica that others
of lower priority could make room for with what they have above their least.

Promise 2 is kept whole: nothing is ever asked of a pool whose telemetry is unhealthy or while
telemetry ingest is behind, not even for a higher priority: how much it needs is not known. So the
price of missing telemetry is that others wait.

A pool that was never reported counts in what is free as if it had its maximum: unknown is not
zero. Pools of services that another instance controls keep what they have; two instances that
grow at the same time into the same room give back what is too much, by the rule above.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import groupby

from poolwright.decision.memory import PoolMemory
from poolwright.model.decision import FleetRoom, Reason
from poolwright.model.rule import FleetRule, Mode, PoolRule, ServiceRule, Standing

EPSILON = 1e-6
"""USD/h: sums of prices are not exact."""

Counts = Mapping[str, int]
"""Replicas by pool."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one pool has, needs and can do without."""

    service: str
    pool: str
    standing: Standing
    price_usd_per_hour: float
    current: int
    wish: int
    """At least `current`."""
    least: int
    """Guaranteed before anybody's wish."""
    bound: int
    """The pool's maximum, or what it has above it."""
    movable: bool
    """Poolwright may change its count."""
    unseen: bool = False
    """No report was ever seen: `current` says nothing."""

    @property
    def held(self) -> int:
        """What must be taken as in use."""
        return max(self.current, self.least, self.bound if self.unseen else 0)


@dataclass(frozen=True, slots=True)
class _Pot:
    """What several pools draw on; `units` says how much of it a replica takes."""

    limit: Reason
    name: str
    capacity: float
    units: Mapping[str, float]

    def used(self, counts: Counts) -> float:
        return sum(unit * counts[pool] for pool, unit in self.units.items())

    def holds(self, counts: Counts) -> bool:
        return self.used(counts) <= self.capacity + EPSILON


def claim_of(
    fleet: FleetRule,
    service: ServiceRule,
    pool: PoolRule,
    memory: PoolMemory,
    *,
    count: int | None,
    reported: bool,
    owned: bool,
) -> Claim:
    """The claim of a pool with `count` replicas (None: never known).

    `reported`: the provider's last word is believed; `owned`: this instance controls the service.
    """
    acting = service.mode is Mode.ACT
    movable = acting and owned and reported
    current = count or 0
    known = memory.wish if movable else None
    wish = current if known is None else min(known, pool.max_replicas)
    keeps = known is None or memory.keeps
    least = max(pool.min_replicas if acting else 0, current if keeps else 0)
    return Claim(
        service.service,
        pool.name,
        fleet.standing_of(service.service),
        pool.price_usd_per_hour or 0.0,
        current,
        max(wish, current, least),
        least,
        max(pool.max_replicas, current, least),
        movable,
        unseen=count is None,
    )


def share_out(fleet: FleetRule, claims: Iterable[Claim]) -> dict[str, FleetRoom]:
    """The room of each pool that has less of it than its own bounds allow."""
    claims = tuple(claims)
    pots = _pots(fleet, claims)
    least = {claim.pool: claim.least for claim in claims}
    held = {claim.pool: claim.held for claim in claims}
    entitled, cuts = _share(pots, claims, least, {c.pool: c.wish for c in claims})
    aim = {pool: max(held[pool], entitled[pool]) for pool in held}
    now, cuts_now = _share(pots, claims, held, aim)
    content = {c.pool for c in claims if c.movable and entitled[c.pool] == c.wish == now[c.pool]}
    bounds = {c.pool: max(aim[c.pool], c.bound if c.pool in content else 0) for c in claims}
    spare, cuts_spare = _share(pots, claims, aim, bounds)
    rooms: dict[str, FleetRoom] = {}
    for claim in claims:
        pool = claim.pool
        if not claim.movable:
            continue
        if claim.current > entitled[pool]:
            pot = cuts[pool]
            detail = _asked_back(pot, claim, claims, entitled)
            rooms[pool] = FleetRoom(entitled[pool], pot.limit, detail)
            continue
        most = spare[pool] if pool in content else now[pool]
        if most < claim.bound:
            pot = next(cut[pool] for cut in (cuts_spare, cuts_now, cuts) if pool in cut)
            rooms[pool] = FleetRoom(most, pot.limit, _in_use(pot, claims, held, most))
    return rooms


def _pots(fleet: FleetRule, claims: tuple[Claim, ...]) -> tuple[_Pot, ...]:
    """Stock by kind, then the budget; of the pools that draw on them."""
    known = {claim.pool for claim in claims}
    pots = [
        _Pot(
            Reason.FLEET_STOCK,
            f"stock of {stock.replicas} {stock.kind}",
            stock.replicas,
            {pool: 1.0 for pool in stock.pools if pool in known},
        )
        for stock in fleet.stock
    ]
    budget = fleet.budget_usd_per_hour
    if budget is not None:
        prices = {c.pool: c.price_usd_per_hour for c in claims if c.price_usd_per_hour}
        name = f"fleet budget of {budget:g} USD/h"
        pots.append(_Pot(Reason.FLEET_BUDGET, name, budget, prices))
    return tuple(pots)


def _share(
    pots: tuple[_Pot, ...], claims: tuple[Claim, ...], floors: Counts, tops: Counts
) -> tuple[Counts, Mapping[str, _Pot]]:
    """Counts between `floors` and `tops` that all pots hold, and the pot that cut a pool last.

    Stock that a pool cannot pay for is shared out again among the others, until all of it that
    anybody can pay for is given: each round lowers what some pool may have.
    """
    cuts: dict[str, _Pot] = {}
    caps = tops
    while True:
        counts = before = caps
        for pot in pots:
            before, counts = counts, _fill(pot, claims, floors, counts)
            cuts |= {pool: pot for pool in counts if counts[pool] < before[pool]}
        lowered = {p: counts[p] if counts[p] < before[p] else caps[p] for p in caps}
        if lowered == caps or len(pots) == 1:
            return counts, cuts
        caps = lowered


def _fill(pot: _Pot, claims: tuple[Claim, ...], floors: Counts, tops: Counts) -> Counts:
    """Everybody the floor, then by priority and fair shares up to the tops or the pot's end."""
    if pot.holds(tops):
        return tops
    counts = {pool: floors[pool] if pool in pot.units else top for pool, top in tops.items()}
    left = pot.capacity - pot.used(counts)
    drawing = sorted(
        (claim for claim in claims if claim.pool in pot.units),
        key=lambda claim: (-claim.standing.priority, claim.service),
    )
    for _, equals in groupby(drawing, key=lambda claim: claim.standing.priority):
        left = _fill_equals(pot, tuple(equals), counts, tops, left)
    return counts


def _fill_equals(
    pot: _Pot, claims: tuple[Claim, ...], counts: dict[str, int], tops: Counts, left: float
) -> float:
    """One replica after another to the service with the least for its weight; what is left."""
    services = {
        service: tuple(group) for service, group in groupby(claims, key=lambda c: c.service)
    }
    shares = [
        (sum(pot.units[c.pool] * counts[c.pool] for c in group) / group[0].standing.weight, service)
        for service, group in services.items()
    ]
    heapify(shares)
    while shares:
        share, service = heappop(shares)
        open_pools = [
            (counts[c.pool] / tops[c.pool], c.pool)
            for c in services[service]
            if counts[c.pool] < tops[c.pool] and pot.units[c.pool] <= left + EPSILON
        ]
        if open_pools:
            pool = min(open_pools)[1]
            counts[pool] += 1
            left -= pot.units[pool]
            weight = services[service][0].standing.weight
            heappush(shares, (share + pot.units[pool] / weight, service))
    return left


def _asked_back(pot: _Pot, claim: Claim, claims: tuple[Claim, ...], entitled: Counts) -> str:
    """Figures, and who is to have what is given back."""
    priorities = {
        c.service: c.standing.priority
        for c in claims
        if c.pool in pot.units and c.service != claim.service and entitled[c.pool] > c.current
    }
    ordered = sorted(priorities.items(), key=lambda item: (-item[1], item[0]))
    takers = ", ".join(f"{service} (priority {priority})" for service, priority in ordered)
    purpose = f"the rest is for {takers}" if takers else "more is in use than there is"
    return f"{pot.name}: {entitled[claim.pool]} replicas are this pool's share, {purpose}"


def _in_use(pot: _Pot, claims: tuple[Claim, ...], held: Counts, most: int) -> str:
    unseen = ", ".join(c.pool for c in claims if c.unseen and c.pool in pot.units)
    counted = f", {unseen} counted at most as not reported yet" if unseen else ""
    return f"{pot.name}: {pot.used(held):g} in use or guaranteed{counted}, room for {most} here"
