"""Plant files: what simulated pools are like and what goes wrong, read as rule files are."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from poolwright.errors import Problem, RuleFileError
from poolwright.model.rule import ServiceRule
from poolwright.rulefiles.document import Document, read
from poolwright.rulefiles.loading import sources_of
from poolwright.rulefiles.shapes import Name, Price, Seconds, Shape, Share
from poolwright.rulefiles.validating import validate
from poolwright.rulefiles.wording import did_you_mean
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec, plant_for

PositiveSeconds = Annotated[Seconds, Field(gt=0)]
MOMENTARY = FaultKind.REPLICA_DIES
SLOWING = (FaultKind.SLOW, FaultKind.SLOW_REPLICA)


class SpeedShape(Shape):
    itl_base: PositiveSeconds | None = None
    itl_per_request: Seconds | None = None
    prefill_base: Seconds | None = None
    prefill_per_token: Seconds | None = None
    prefill_chunk_tokens: int | None = Field(default=None, ge=1)
    max_batch: int | None = Field(default=None, ge=1)
    kv_tokens: int | None = Field(default=None, ge=1)


class FaultShape(Shape, title="Fault"):
    """Something that goes wrong, once."""

    kind: FaultKind
    at: Seconds
    """Since the start of the trace."""
    lasts: PositiveSeconds | None = None
    factor: float | None = Field(default=None, gt=0)
    stand_ins: ClassVar[Mapping[str, Any]] = {"at": "0s", "lasts": "1s", "factor": 1}

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if (self.lasts is None) != (self.kind is MOMENTARY):
            need = "has no `lasts`, it is over at once" if self.lasts else "needs `lasts`"
            raise ValueError(f"{self.kind} {need}")
        if (self.factor is None) != (self.kind not in SLOWING):
            need = "has no `factor`" if self.factor else "needs a `factor`, such as 2.5"
            raise ValueError(f"{self.kind} {need}")
        return self


class PoolShape(Shape):
    name: Name
    speed: SpeedShape = SpeedShape()
    startup: Seconds | None = None
    startup_jitter: Annotated[Share, Field(le=1)] | None = None
    price: Price | None = None
    lease: Seconds | None = None
    serves: list[str] | None = None
    stock: int | None = Field(default=None, ge=0)
    faults: list[FaultShape] = Field(default_factory=list)


class PlantFile(Shape):
    api_version: Literal["poolwright/v1"] = Field(alias="apiVersion")
    plant: Name
    """The service that it serves."""
    sample_interval: PositiveSeconds = 5.0
    pools: list[PoolShape] = Field(default_factory=list)


def load_plant(path: Path, service: ServiceRule) -> PlantSpec:
    """The plant of a file, or of the folder's file for the service; see `plant_for` for the rest.

    Raises RuleFileError with every problem, each with file, line and column.
    """
    document = _choose(path, service)
    shape = validate(document, PlantFile)
    if shape is not None and not document.problems:
        _check(document, shape, service)
    if shape is None or document.problems:
        raise RuleFileError(tuple(document.problems))
    said = {pool.name: pool for pool in shape.pools}
    pools = tuple(
        _pool(said[spec.name], spec) if spec.name in said else spec
        for spec in plant_for(service).pools
    )
    return PlantSpec(service.service, pools, shape.sample_interval)


def _choose(path: Path, service: ServiceRule) -> Document:
    """The only file, whatever it is, or the only one of several that is the service's."""
    documents = [read(file, text) for file, text in sources_of(path).items()]
    if len(documents) == 1:
        return documents[0]
    plants = {document.file: _plant_of(document) for document in documents}
    found = [document for document in documents if plants[document.file] == service.service]
    if len(found) == 1:
        return found[0]
    name = f"service `{service.service}`"
    if found:
        message = f"{len(found)} plant files of {name}: {', '.join(d.file for d in found)}"
    else:
        there = ", ".join(f"{file} (`{plant}`)" for file, plant in plants.items() if plant)
        message = f"no plant file of {name}; there are: {there or 'none'}"
    raise RuleFileError((Problem(str(path), 1, 1, message, "name the file"),))


def _plant_of(document: Document) -> str | None:
    value = document.value
    plant = value.get("plant") if isinstance(value, dict) else None
    return plant if isinstance(plant, str) else None


def _check(document: Document, shape: PlantFile, service: ServiceRule) -> None:
    if shape.plant != service.service:
        hint = did_you_mean(shape.plant, [service.service])
        document.add(("plant",), f"the rules are of service `{service.service}`", hint)
    pools = [pool.name for pool in service.pools]
    classes = [rule.name for rule in service.classes]
    seen: set[str] = set()
    for i, pool in enumerate(shape.pools):
        if pool.name not in pools:
            hint = did_you_mean(pool.name, pools)
            document.add(("pools", i, "name"), f"the rules have no pool `{pool.name}`", hint)
        if pool.name in seen:
            document.add(("pools", i, "name"), f"pool `{pool.name}` twice", "keep one")
        seen.add(pool.name)
        for k, name in enumerate(pool.serves or ()):
            if name not in classes:
                hint = did_you_mean(name, classes)
                document.add(("pools", i, "serves", k), f"the rules have no class `{name}`", hint)


def _pool(shape: PoolShape, spec: PoolSpec) -> PoolSpec:
    """The rule file's pool with what the plant file says instead."""
    speed = shape.speed
    said: dict[str, Any] = {
        "itl_base_s": speed.itl_base,
        "itl_per_request_s": speed.itl_per_request,
        "prefill_base_s": speed.prefill_base,
        "prefill_per_token_s": speed.prefill_per_token,
        "prefill_chunk_tokens": speed.prefill_chunk_tokens,
        "max_batch": speed.max_batch,
        "kv_tokens": speed.kv_tokens,
        "startup_s": shape.startup,
        "startup_jitter": shape.startup_jitter,
        "price_usd_per_hour": shape.price,
        "lease_s": shape.lease,
        "serves": None if shape.serves is None else tuple(shape.serves),
        "stock": shape.stock,
        "faults": tuple(
            Fault(fault.at, fault.kind, fault.lasts or 0.0, fault.factor or 1.0)
            for fault in shape.faults
        ),
    }
    return replace(spec, **{key: value for key, value in said.items() if value is not None})
