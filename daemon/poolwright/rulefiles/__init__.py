"""Rule files in: YAML to a validated rule set, with every problem and its place at once."""

from poolwright.rulefiles.loading import load, load_sources
from poolwright.rulefiles.schema import schema, schema_of
from poolwright.rulefiles.watching import LoadResult, watch

__all__ = ["LoadResult", "load", "load_sources", "schema", "schema_of", "watch"]
