"""Which thing behind a described API a pool is: the file's name and the file's parameters."""

from collections.abc import Hashable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from typing_extensions import override

from poolwright.actuation.described.mistakes import Mistake, mistakes
from poolwright.actuation.described.shapes import Api
from poolwright.actuation.target import Needs, Target, TargetError


def _no_step_up(value: str) -> str:
    if value in {".", ".."}:
        raise TargetError(f"`{value}` would change the address's path", "write another value")
    return value


Value = Annotated[str, Field(strict=True, min_length=1), AfterValidator(_no_step_up)]


class HttpTarget(Target):
    """Before its file is known any parameter will do; `for_pools_of` knows the file's."""

    model_config = ConfigDict(extra="allow", frozen=True)
    needs: ClassVar[Needs | None] = Needs(
        "whatever a REST API counts, as a file in rules/apis/ describes it",
        "the environment variables and files that the described file names",
        ("the requests under `read` and `set` of the described file, and no others",),
        chooses=True,
    )
    describes: ClassVar[type[BaseModel]] = Api
    """The model of the files that `ref` names."""

    ref: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

    @staticmethod
    def mistakes_of(api: Api) -> list[Mistake]:
        """What the model of the file cannot say."""
        return list(mistakes(api))

    @classmethod
    def for_pools_of(cls, api: Api) -> type[Self]:
        """The target of pools that refer to this file: its parameters, and no other key."""
        # Fields are numbered: a parameter may have any name, also that of a method.
        fields: dict[str, Any] = {
            f"parameter_{i}": (Value, Field(alias=name, default=_default(parameter.default)))
            for i, (name, parameter) in enumerate(api.parameters.items())
        }
        made: type[Self] = create_model(cls.__name__, __base__=cls, **fields)
        made.model_config["extra"] = "forbid"
        made.model_rebuild(force=True)
        return made

    @property
    def parameters(self) -> Mapping[str, str]:
        return self.model_dump(by_alias=True, exclude={"ref"})

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        """Another file may describe the same API: pools of two files are never the same."""
        return self.ref, tuple(sorted(self.parameters.items()))


def _default(value: str | None) -> Any:
    return ... if value is None else value
