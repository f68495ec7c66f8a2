"""The fleet file: what the services of a folder share. Its names are those of the other files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolwright.errors import Problem
from poolwright.model.rule import FleetRule, FleetStock, PoolRule, ServiceRule, Standing
from poolwright.rulefiles.document import Document, Path
from poolwright.rulefiles.shapes import FleetFile
from poolwright.rulefiles.validating import validate
from poolwright.rulefiles.wording import did_you_mean

KIND = "Fleet"


@dataclass(frozen=True, slots=True)
class Services:
    """What the rule files say of services, as far as it can be made out."""

    rules: Mapping[str, tuple[Document, ServiceRule]]
    complete: bool
    """Every file's services and pools are known: a name that is not there is a mistake."""

    def pools(self) -> dict[str, PoolRule]:
        return {pool.name: pool for _, rule in self.rules.values() for pool in rule.pools}


def is_fleet(document: Document) -> bool:
    """Whether the file means to be one, rightly written or not."""
    value = document.value
    if not isinstance(value, dict):
        return False
    if value.get("kind") == KIND:
        return True
    return "service" not in value and bool({"kind", "stock", "services"} & value.keys())


def read_fleet(document: Document, services: Services) -> FleetRule | None:
    """The fleet as far as it can be made out; good only if the document has no problems."""
    shape = validate(document, FleetFile)
    if shape is None:
        return None
    if shape.budget is None and not shape.stock and not document.misunderstood:
        hint = "add budget: … USD/h, or stock: with a kind"
        document.add((), "a fleet that shares nothing", hint)
    if services.complete:
        _check_names(document, shape, services)
    _check_stock(document, shape)
    return FleetRule(
        shape.budget,
        tuple(FleetStock(k, s.replicas, tuple(s.pools)) for k, s in shape.stock.items()),
        {name: Standing(s.priority, s.weight) for name, s in shape.services.items()},
    )


def _check_names(document: Document, shape: FleetFile, services: Services) -> None:
    for name in shape.services:
        _check_name(document, ("services", name), "service", name, services.rules, key=True)
    pools = services.pools()
    for kind, stock in shape.stock.items():
        for i, pool in enumerate(stock.pools):
            _check_name(document, ("stock", kind, "pools", i), "pool", pool, pools)


def _check_name(
    document: Document, path: Path, what: str, name: str, known: Collection[str], **at: Any
) -> None:
    if name not in known:
        document.add(path, f"unknown {what} `{name}`", did_you_mean(name, known), **at)


def _check_stock(document: Document, shape: FleetFile) -> None:
    kinds: dict[str, str] = {}
    for kind, stock in shape.stock.items():
        path: Path = ("stock", kind, "pools")
        if not stock.pools:
            document.add(path, f"no pool shares the stock of `{kind}`", "name at least one")
        for i, pool in enumerate(stock.pools):
            if other := kinds.get(pool):
                message = f"pool `{pool}` is already of the kind `{other}`"
                document.add((*path, i), message, "keep it in one place")
            kinds.setdefault(pool, kind)


def warnings(document: Document, fleet: FleetRule, services: Services) -> Sequence[Problem]:
    """What loads and is probably not meant, of a fleet without mistakes."""
    found: list[Problem] = []
    pools = services.pools()

    def warn(path: Path, message: str, hint: str) -> None:
        found.append(Problem(document.file, *document.place(path), message, hint))

    if (budget := fleet.budget_usd_per_hour) is not None:
        for source, rule in services.rules.values():
            for i, pool in enumerate(rule.pools):
                if pool.price_usd_per_hour is None:
                    place = source.place(("pools", i))
                    message = f"pool `{pool.name}` has no price and costs the fleet nothing"
                    found.append(Problem(source.file, *place, message, "add price: … USD/h"))
        least = sum(p.min_replicas * (p.price_usd_per_hour or 0.0) for p in pools.values())
        if least > budget:
            message = f"the minimums of all pools cost {least:g} USD/h, more than the budget"
            warn(("budget",), message, "minimums come first: lower them, or raise it")
    for stock in fleet.stock:
        minimum = sum(pools[name].min_replicas for name in stock.pools)
        if minimum > stock.replicas:
            message = f"the minimums of these pools are {minimum}, more than the stock"
            warn(("stock", stock.kind, "replicas"), message, "minimums come first: lower them")
    return found
