"""Microsoft's own description of its APIs, to hold requests and answers against.

Requests must be those that the official clients (azure-mgmt-compute, -authorization, -monitor)
build for the same call; answers must be of the types that those clients describe.
"""

import datetime as dt
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.core import MatchConditions
from azure.mgmt.authorization.v2022_04_01 import models as authorization_models
from azure.mgmt.authorization.v2022_04_01.operations import _permissions_operations as authorization
from azure.mgmt.compute import models as compute_models
from azure.mgmt.compute.operations import _operations as compute
from azure.mgmt.monitor import models as monitor_models
from azure.mgmt.monitor.operations import _autoscale_settings_operations as monitor

GROUP = r"/subscriptions/(?P<sub>[^/]+)/resourcegroups/(?P<rg>[^/]+)"
SET = GROUP + r"/providers/microsoft.compute/virtualmachinescalesets/(?P<name>[^/]+)"

SKIP = "$skiptoken"
"""What a link to a next page has beside the query that was asked."""


@dataclass(frozen=True)
class Call:
    """One call of an API: how the official client asks, and the types of what goes and comes."""

    name: str
    method: str
    path: str
    build: Callable[[Mapping[str, str], Mapping[str, str], str | None], Any]
    """Of the path's names, the query and the header If-Match."""
    answer: object
    """Of the whole body, or of each item of a list."""
    listed: bool = False
    body: object = None


def _scale_set(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    return compute.build_virtual_machine_scale_sets_get_request(
        names["rg"], names["name"], names["sub"], api_version=query["api-version"]
    )


def _update(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    return compute.build_virtual_machine_scale_sets_update_request(
        names["rg"],
        names["name"],
        names["sub"],
        api_version=query["api-version"],
        content_type="application/json",
        etag=if_match,
        match_condition=MatchConditions.IfNotModified if if_match else None,
    )


def _view(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    return compute.build_virtual_machine_scale_sets_get_instance_view_request(
        names["rg"], names["name"], names["sub"], api_version=query["api-version"]
    )


def _uniform(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    return compute.build_virtual_machine_scale_set_vms_list_request(
        names["rg"],
        names["name"],
        names["sub"],
        api_version=query["api-version"],
        expand="instanceView",
    )


def _flexible(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    # `$expand` is allowed with a filter of this form alone.
    form = r"'virtualMachineScaleSet/id' eq '/subscriptions/[^/']+/resourceGroups/[^']+'"
    assert re.fullmatch(form, query["$filter"]), query
    return compute.build_virtual_machines_list_request(
        names["rg"],
        names["sub"],
        api_version=query["api-version"],
        filter=query["$filter"],
        expand=compute_models.ExpandTypeForListVMs.INSTANCE_VIEW.value,
    )


def _permissions(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    return authorization.build_list_for_resource_request(
        names["rg"],
        "Microsoft.Compute",
        "",
        "virtualMachineScaleSets",
        names["name"],
        names["sub"],
        api_version=query["api-version"],
    )


def _autoscale(names: Mapping[str, str], query: Mapping[str, str], if_match: str | None) -> Any:
    return monitor.build_list_by_resource_group_request(
        names["rg"], names["sub"], api_version=query["api-version"]
    )


CALLS = (
    Call("get", "GET", SET, _scale_set, compute_models.VirtualMachineScaleSet),
    Call(
        "update",
        "PATCH",
        SET,
        _update,
        compute_models.VirtualMachineScaleSet,
        body=compute_models.VirtualMachineScaleSetUpdate,
    ),
    Call(
        "view",
        "GET",
        f"{SET}/instanceview",
        _view,
        compute_models.VirtualMachineScaleSetInstanceView,
    ),
    Call(
        "uniform",
        "GET",
        f"{SET}/virtualmachines",
        _uniform,
        compute_models.VirtualMachineScaleSetVM,
        listed=True,
    ),
    Call(
        "flexible",
        "GET",
        GROUP + r"/providers/microsoft.compute/virtualmachines",
        _flexible,
        compute_models.VirtualMachine,
        listed=True,
    ),
    Call(
        "permissions",
        "GET",
        f"{SET}/providers/microsoft.authorization/permissions",
        _permissions,
        authorization_models.Permission,
        listed=True,
    ),
    Call(
        "autoscale",
        "GET",
        GROUP + r"/providers/microsoft.insights/autoscalesettings",
        _autoscale,
        monitor_models.AutoscaleSettingResource,
        listed=True,
    ),
)


def matched(method: str, path: str) -> tuple[Call, dict[str, str]]:
    for call in CALLS:
        found = re.fullmatch(call.path, path, re.IGNORECASE)
        if found is not None and call.method == method:
            return call, found.groupdict()
    raise AssertionError(f"no call is {method} {path}")


def check_request(
    call: Call,
    path: str,
    names: Mapping[str, str],
    query: Mapping[str, str],
    if_match: str | None,
    body: object,
) -> None:
    """That the official client would ask the same."""
    built = call.build(names, query, if_match)
    url = urlsplit(built.url)
    assert built.method == call.method
    # An empty part of a template leaves two slashes.
    assert url.path.replace("//", "/").lower() == path.lower()
    asked = {name: value for name, value in query.items() if name != SKIP}
    assert dict(parse_qsl(url.query)) == asked, (call.name, built.url, query)
    assert built.headers.get("If-Match") == if_match
    if call.body is None:
        assert body is None
    else:
        conforms(body, call.body, call.name)


def check_answer(call: Call, body: Any) -> None:
    if not call.listed:
        conforms(body, call.answer, call.name)
        return
    assert set(body) <= {"value", "nextLink"}, body
    for item in body["value"]:
        conforms(item, call.answer, call.name)


def conforms(value: Any, kind: Any, at: str) -> None:
    """That a JSON value is of a type that a client describes, and has no key beyond it."""
    if isinstance(kind, str):
        _of_older_client(value, kind, at)
    elif typing.get_origin(kind) in (typing.Union, types.UnionType):
        _of_either(value, [k for k in typing.get_args(kind) if k is not type(None)], at)
    elif typing.get_origin(kind) is list:
        assert isinstance(value, list), at
        for item in value:
            conforms(item, typing.get_args(kind)[0], f"{at}[]")
    elif typing.get_origin(kind) is dict:
        assert isinstance(value, dict), at
        for key, item in value.items():
            conforms(item, typing.get_args(kind)[1], f"{at}.{key}")
    elif kind is dt.datetime:
        dt.datetime.fromisoformat(value)
    elif kind in (str, int, bool):
        assert type(value) is kind, (at, value, kind)
    elif hasattr(kind, "_attribute_map"):
        _of_older_model(value, kind, at)
    else:
        _of_model(value, kind, at)


def _of_either(value: Any, kinds: list[Any], at: str) -> None:
    closed = [k for k in kinds if isinstance(k, type) and issubclass(k, enum.Enum)]
    if closed:
        known = {member.value.lower() for kind in closed for member in kind}
        assert value.lower() in known, (at, value)
        return
    (kind,) = kinds
    conforms(value, kind, at)


def _of_model(value: Any, kind: Any, at: str) -> None:
    assert isinstance(value, dict), (at, value)
    kind()  # the names of its fields are worked out when the first is made
    hints = typing.get_type_hints(kind, localns={"_models": compute_models})
    fields = {field._rest_name: hints[name] for name, field in kind._attr_to_rest_field.items()}
    for key, item in value.items():
        assert key in fields, f"{at}.{key} is not described"
        conforms(item, fields[key], f"{at}.{key}")


def _of_older_model(value: Any, kind: Any, at: str) -> None:
    """Its keys are paths: `properties.enabled`."""
    described = {field["key"]: field["type"] for field in kind._attribute_map.values()}

    def walk(part: Mapping[str, Any], before: str) -> None:
        for key, item in part.items():
            path = f"{before}{key}"
            if path in described:
                models = vars(monitor_models) | vars(authorization_models)
                conforms(item, models.get(described[path], described[path]), f"{at}.{path}")
            else:
                inside = any(known.startswith(f"{path}.") for known in described)
                assert inside, f"{at}.{path} is not described"
                walk(item, f"{path}.")

    walk(value, "")


def _of_older_client(value: Any, kind: str, at: str) -> None:
    models = vars(monitor_models) | vars(authorization_models)
    if kind.startswith("["):
        assert isinstance(value, list), at
        for item in value:
            inner = kind[1:-1]
            conforms(item, models.get(inner, inner), f"{at}[]")
    elif kind.startswith("{"):
        assert isinstance(value, dict), at
    else:
        kinds = {"str": str, "bool": bool, "int": int, "iso-8601": str, "duration": str}
        assert type(value) is kinds[kind], (at, value, kind)
