"""What several services share, a budget and stock, shared out over their pools at each tick.

Each pool makes a claim: what it has, what it wished at its last evaluation, and what it keeps in
any case. From the claims follow three numbers for each pool.

Its *share* is what it would have if all were given out anew, whatever it has now. Everybody's
least comes first: the minimum bound; for a pool that cannot shrink (telemetry unhealthy, a freeze,
a mode other than act, not reported) also what it has. The rest goes by priority, and within a
priority one replica at a time to the service that has least for its weight, up to what each
wishes. How much a service has is counted as its part of the budget or of the stock, whichever part
is larger (dominant resource fairness, Ghodsi et al., NSDI 2011), among those that do not last for
everybody: in USD/h where the budget is short, in replicas where stock is. That is max-min fair,
exact to one replica.

Its *aim* is where it is to go now. Nobody is asked for what is within its share, and a pool whose
share is less than its wish aims at the share. What a pool has above its wish it gives up by itself
and at its own pace; until then it competes for this surplus, by the same rules, with those that
are still below their shares: nobody need hurry for a lower priority.

Its *room* is what it may have now. A pool above its aim is asked to give back down to it, in steps
that its own limits allow. A pool below it may grow only into what is free: what others have and
have not given back yet is theirs. So the sum is never above the budget or the stock but for what
was there already and for minimums. What no claim needs is dealt out, too, in parts that do not
overlap: a wish that arises this very tick need not wait. Pools that wait have no part in that, or
they would take what is being saved up for one replica of a dearer pool.

Why this comes to rest. With constant wishes shares are constant, as they do not depend on what
movable pools have. Room leads towards the share and never past it: pools below their shares only
grow, pools above only shrink, nobody turns round. And nobody waits for ever: what is above the
shares goes, by the pool's own wish or because it is asked for; then the shares fit beside each
other, and everybody may grow to its own. There no pool lacks a replica that others of lower
priority could make room for with what they have above their least.

A pool that cannot shrink may still grow, up to its share, and its least with it. That changes no
share where such a service has one pool: counts alone set the order in which replicas are given,
so those given in advance would have come anyway, and what did not fit fits no better now. With
several pools it may, but finitely often, as such pools never shrink.

Promise 2 is kept whole: nothing is ever asked of a pool whose telemetry is unhealthy or while
telemetry ingest is behind, not even for a higher priority: how much it needs is not known. So the
price of missing telemetry is that others wait.

A pool that was never reported counts in what is free as if it had its maximum: unknown is not
zero. Pools of services that another instance controls keep what they have; two instances that
grow at the same time into the same room give back what is too much, by the rule above.
"""

from collections import ChainMap
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
    """At least `least`; below `current` where the pool is about to shrink."""
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

    def part(self, counts: Counts, claims: Iterable[Claim]) -> float:
        """How much of it some pools use; of nothing, nothing more can be had anyway."""
        used = sum(self.units.get(c.pool, 0.0) * counts[c.pool] for c in claims)
        return used / self.capacity if self.capacity else 0.0

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
    keeps = known is None or memory.keeps
    least = max(pool.min_replicas if acting else 0, current if keeps else 0)
    return Claim(
        service.service,
        pool.name,
        fleet.standing_of(service.service),
        pool.price_usd_per_hour or 0.0,
        current,
        least if known is None else max(min(known, pool.max_replicas), least),
        least,
        max(pool.max_replicas, current, least),
        movable,
        unseen=count is None,
    )


def share_out(fleet: FleetRule, claims: Iterable[Claim]) -> dict[str, FleetRoom]:
    """The room of each pool that has less of it than its own bounds allow."""
    claims = tuple(claims)
    pots = _pots(fleet, claims)
    shares, cuts = _share(
        pots, claims, {c.pool: c.least for c in claims}, {c.pool: c.wish for c in claims}
    )
    kept = {c.pool: max(c.least, min(c.current, shares[c.pool])) for c in claims}
    # Who is cut has no claim to more than its share; who is not may have more than it wishes.
    tops = {
        c.pool: max(shares[c.pool], c.current if shares[c.pool] == c.wish else 0) for c in claims
    }
    aims, cuts_aim = _share(pots, claims, kept, tops)
    held = {c.pool: c.held for c in claims}
    busy = {pool: max(held[pool], aims[pool]) for pool in held}
    now, cuts_now = _share(pots, claims, held, busy)
    content = {
        c.pool
        for c in claims
        if c.movable and aims[c.pool] == now[c.pool] == max(c.current, c.wish)
    }
    bounds = {c.pool: max(busy[c.pool], c.bound if c.pool in content else 0) for c in claims}
    spare, cuts_spare = _share(pots, claims, busy, bounds)
    cut_by = ChainMap(cuts_spare, cuts_now, cuts_aim, cuts)
    rooms: dict[str, FleetRoom] = {}
    for claim in claims:
        pool = claim.pool
        if not claim.movable:
            continue
        if claim.current > aims[pool]:
            pot = cut_by[pool]
            detail = _asked_back(pot, claim, claims, aims)
            rooms[pool] = FleetRoom(aims[pool], pot.limit, detail)
            continue
        most = spare[pool] if pool in content else now[pool]
        if most < claim.bound:
            pot = cut_by[pool]
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
) -> tuple[dict[str, int], dict[str, _Pot]]:
    """Counts between `floors` and `tops` that all pots hold, and the pot that cut each pool.

    By priority, and within one by fair shares. Where floors alone are more than a pot holds,
    nobody that draws on it has more than its floor.
    """
    tops, cuts = _alone(pots, floors, tops)
    short = tuple(pot for pot in pots if not pot.holds(tops))
    drawn = {pool: tuple(pot for pot in short if pool in pot.units) for pool in tops}
    counts = {pool: floors[pool] if drawn[pool] else top for pool, top in tops.items()}
    ordered = sorted(claims, key=lambda claim: claim.service)
    services = {s: tuple(group) for s, group in groupby(ordered, key=lambda c: c.service)}
    left = {pot.name: pot.capacity - pot.used(counts) for pot in short}

    def key(service: str) -> tuple[int, float, str]:
        pools = services[service]
        standing = pools[0].standing
        part = max((pot.part(counts, pools) for pot in short), default=0.0)
        return -standing.priority, part / standing.weight, service

    def full(pool: str) -> _Pot | None:
        return next((p for p in drawn[pool] if p.units[pool] > left[p.name] + EPSILON), None)

    queue = [key(service) for service in services]
    heapify(queue)
    while queue:
        *_, service = heappop(queue)
        wanting = [c.pool for c in services[service] if counts[c.pool] < tops[c.pool]]
        cuts |= {pool: pot for pool in wanting if (pot := full(pool))}
        pool = min(
            (pool for pool in wanting if not full(pool)),
            key=lambda pool: (counts[pool] / tops[pool], pool),
            default=None,
        )
        if pool is not None:
            counts[pool] += 1
            for pot in drawn[pool]:
                left[pot.name] -= pot.units[pool]
            heappush(queue, key(service))
    return counts, cuts


def _alone(
    pots: tuple[_Pot, ...], floors: Counts, tops: Counts
) -> tuple[dict[str, int], dict[str, _Pot]]:
    """Tops no higher than each pot would hold of the pool alone: such a bound is no competition.

    Else a service that is alone with its stock would have less of the budget for using it up.
    """
    lowered: dict[str, int] = dict(tops)
    cuts: dict[str, _Pot] = {}
    for pot in pots:
        for pool, unit in pot.units.items():
            alone = max(floors[pool], int((pot.capacity + EPSILON) // unit))
            if alone < lowered[pool]:
                lowered[pool] = alone
                cuts[pool] = pot
    return lowered, cuts


def _asked_back(pot: _Pot, claim: Claim, claims: tuple[Claim, ...], aims: Counts) -> str:
    """Figures, and who is to have what is given back."""
    priorities = {
        c.service: c.standing.priority
        for c in claims
        if c.pool in pot.units and c.service != claim.service and aims[c.pool] > c.current
    }
    ordered = sorted(priorities.items(), key=lambda item: (-item[1], item[0]))
    takers = ", ".join(f"{service} (priority {priority})" for service, priority in ordered)
    purpose = f"the rest is for {takers}" if takers else "more is in use than there is"
    return f"{pot.name}: {aims[claim.pool]} replicas are this pool's share, {purpose}"


def _in_use(pot: _Pot, claims: tuple[Claim, ...], held: Counts, most: int) -> str:
    unseen = ", ".join(c.pool for c in claims if c.unseen and c.pool in pot.units)
    counted = f", {unseen} counted at most as not reported yet" if unseen else ""
    return f"{pot.name}: {pot.used(held):g} in use or guaranteed{counted}, room for {most} here"
