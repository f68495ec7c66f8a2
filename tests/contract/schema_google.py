"""Google's own description of its APIs (discovery documents), to hold requests and answers against.

The documents are those that the official client, google-api-python-client, ships.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

DOCUMENTS = "discovery_cache/documents"


@dataclass(frozen=True)
class Method:
    """One method of an API, by its `id`: `compute.instanceGroupManagers.resize`."""

    api: str
    id: str
    described: Mapping[str, Any]


def matched(api: str, http_method: str, path: str) -> tuple[Method, dict[str, str]]:
    """The method that a request is for, and its path's parameters; `path` has the API's version."""
    for method in _methods(api):
        found = _pattern(api, method.id).fullmatch(path)
        if found is not None and method.described["httpMethod"] == http_method:
            return method, found.groupdict()
    raise AssertionError(f"{api} has no {http_method} {path}")


def check_request(
    method: Method, in_path: Mapping[str, str], query: Mapping[str, str], body: object
) -> None:
    for name, value in in_path.items():
        pattern = method.described["parameters"][name].get("pattern")
        assert pattern is None or re.fullmatch(pattern, value), (method.id, name, value)
    known = {
        name: described
        for name, described in method.described["parameters"].items()
        if described["location"] == "query"
    }
    assert set(query) <= set(known), (method.id, query)
    for name, value in query.items():
        if known[name]["type"] == "integer":
            assert value.isdigit(), (method.id, name, value)
    lacking = [n for n, described in known.items() if described.get("required") and n not in query]
    assert not lacking, (method.id, lacking)
    if "request" in method.described and body is not None:
        _check(method.api, method.described["request"]["$ref"], body)
    else:
        assert body is None, (method.id, body)


def check_answer(method: Method, body: object) -> None:
    _check(method.api, method.described["response"]["$ref"], body)


def _check(api: str, name: str, value: object) -> None:
    _validator(api, name).validate(value)


@functools.cache
def _document(api: str) -> dict[str, Any]:
    folder = importlib.resources.files("googleapiclient")
    found: dict[str, Any] = json.loads((folder / DOCUMENTS / f"{api}.json").read_bytes())
    return found


@functools.cache
def _methods(api: str) -> tuple[Method, ...]:
    def walk(resources: Mapping[str, Any]) -> Iterator[Method]:
        for resource in resources.values():
            for described in resource.get("methods", {}).values():
                yield Method(api, described["id"], described)
            yield from walk(resource.get("resources", {}))

    return tuple(walk(_document(api)["resources"]))


@functools.cache
def _pattern(api: str, method: str) -> re.Pattern[str]:
    described = next(found.described for found in _methods(api) if found.id == method)
    template = _document(api)["servicePath"] + described["path"]
    parts = re.split(r"\{(\+?)(\w+)\}", template)
    pattern = re.escape(parts[0])
    for several, name, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        # Templates of whole resource names differ by their patterns alone.
        known = described["parameters"][name]["pattern"].strip("^$") if several else "[^/]+"
        pattern += f"(?P<{name}>{known})" + re.escape(literal)
    return re.compile("/" + pattern)


@functools.cache
def _validator(api: str, name: str) -> jsonschema.Draft202012Validator:
    """Stricter than Google promises: a key that is not described is a mistake here."""
    reached: dict[str, Any] = {}
    ahead = [name]
    while ahead:
        if (reference := ahead.pop()) not in reached:
            described = _document(api)["schemas"][reference]
            reached[reference] = _json_schema(described, ahead)
    return jsonschema.Draft202012Validator({"$defs": reached, "$ref": f"#/$defs/{name}"})


def _json_schema(described: Mapping[str, Any], ahead: list[str]) -> dict[str, Any]:
    if "$ref" in described:
        ahead.append(described["$ref"])
        return {"$ref": f"#/$defs/{described['$ref']}"}
    if described.get("type", "any") == "any":
        return {}
    schema: dict[str, Any] = {"type": described["type"]}
    if "enum" in described:
        schema["enum"] = described["enum"]
    if "items" in described:
        schema["items"] = _json_schema(described["items"], ahead)
    if described["type"] == "object":
        properties = described.get("properties", {})
        schema["properties"] = {
            key: _json_schema(value, ahead) for key, value in properties.items()
        }
        others = described.get("additionalProperties")
        schema["additionalProperties"] = False if others is None else _json_schema(others, ahead)
    return schema
