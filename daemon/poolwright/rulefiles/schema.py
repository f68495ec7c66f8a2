"""JSON Schema of rule files and the fleet file, for editors: it accepts what loads, as written."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema
from typing_extensions import override

from poolwright.rulefiles.shapes import FleetFile, RuleFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _AsWritten(GenerateJsonSchema):
    """Without null: a key is written with a value, or left out."""

    @override
    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    @override
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if not made.get("default"):
            # Nothing to write: an editor would propose null, or an empty list.
            made.pop("default", None)
        return made


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Likewise of any other file, whose shape is somebody else's."""
    made = model.model_json_schema(by_alias=True, schema_generator=_AsWritten)
    return {"$schema": DIALECT, **made}


def schema() -> dict[str, Any]:
    """As `poolwright schema` prints it and `rules/schema.json` keeps it."""
    refs, made = models_json_schema(
        [(RuleFile, "validation"), (FleetFile, "validation")],
        by_alias=True,
        title="Poolwright rule file",
        schema_generator=_AsWritten,
    )
    return {
        "$schema": DIALECT,
        **made,
        "if": {"required": ["kind"]},
        "then": refs[FleetFile, "validation"],
        "else": refs[RuleFile, "validation"],
    }
