"""One object with its scale and its pods: watched, and asked directly where that does not suffice.

The watch answers while it is trusted and has seen the newest version that is known: that of the
last direct answer, or of the daemon's own last write. Whatever a write whose outcome is not known
may have done, only a direct answer tells.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from poolwright.actuation.kubernetes.api import Api
from poolwright.actuation.kubernetes.pods import Pod, pod_of
from poolwright.actuation.kubernetes.watched import FORBIDDEN_S, Watched
from poolwright.actuation.provider import Unauthorised, Unreachable
from poolwright.clock import Clock

log = logging.getLogger(__name__)

UNKNOWN: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is: its paths, and what is particular about its kind."""

    group: str
    version: str
    plural: str
    kind: str
    namespace: str
    name: str
    usual: bool
    """Its count is `spec.replicas`, and a missing `status.readyReplicas` is zero."""
    pods: str = ""
    """Label selector of its pods; '' : what its scale says."""

    @property
    def collection(self) -> str:
        root = f"/apis/{self.group}" if self.group else "/api"
        return f"{root}/{self.version}/namespaces/{self.namespace}/{self.plural}"

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"

    @property
    def scale(self) -> str:
        return f"{self.path}/scale"

    @property
    def pods_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What of the object is kept: its own words of its replicas."""

    version: str
    desired: int
    existing: int
    ready: int | None
    """None: it does not say."""
    size: int
    """Pods of a replica."""
    failure: str
    """Why its controller cannot create pods; '' when it can."""


@dataclass(frozen=True, slots=True)
class Look:
    """The object at one time. `pods` is None where they may not, or cannot, be seen."""

    seen: Seen
    desired: int
    pods: tuple[Pod, ...] | None


class Following:
    """Looks at one object; `close` ends its watches."""

    def __init__(self, api: Api, place: Place, clock: Clock) -> None:
        self._api = api
        self._place = place
        self._clock = clock
        selector = {"fieldSelector": f"metadata.name={place.name}"}
        self._object = Watched(api, place.collection, seen_of, clock, **selector)
        self._pods: Watched[Pod] | None = None
        self._selector: str | None = None
        """The one that the pods are watched by; None before the first look."""
        self._least: float = 0
        """The object's newest version that is known of."""
        self._writes = 0
        self._scaled: tuple[str, int] = ("", 0)
        """The count that the scale told at a version: of kinds whose objects hold it elsewhere."""
        self._pods_refused_at: float | None = None
        self._told: set[str] = set()
        self._closed = False

    async def look(self) -> Look:
        """The object now; the errors of `provider` when it cannot be had."""
        watched = self._watched()
        if watched is not None and self._trusted():
            return watched
        asked = await self._ask()
        await self._begin()
        if self._watched() == asked:
            self._object.confirm()
            if self._pods is not None:
                self._pods.confirm()
        return asked

    def writing(self) -> None:
        """From now on nobody knows what the object is, until `wrote` or a direct answer tells."""
        self._least = UNKNOWN
        self._writes += 1

    def wrote(self, version: str) -> None:
        self._least = _number(version, otherwise=UNKNOWN)

    async def close(self) -> None:
        self._closed = True
        for watched in (self._object, self._pods):
            if watched is not None:
                await watched.close()

    def _trusted(self) -> bool:
        pods = self._pods
        return self._object.trusted() and (pods is None or pods.trusted())

    def _watched(self) -> Look | None:
        """What the watches have; None when that cannot be the newest."""
        seen = self._object.items.get(self._place.name)
        if seen is None or self._selector is None:
            return None
        if _number(seen.version, otherwise=-1.0) < self._least:
            return None
        if self._place.usual:
            desired = seen.desired
        elif self._scaled[0] == seen.version:
            desired = self._scaled[1]
        else:
            return None
        pods = None if self._pods is None else _in_order(self._pods.items)
        return Look(seen, desired, pods)

    async def _ask(self) -> Look:
        writes = self._writes
        raw = await self._api.get(self._place.path)
        scale = await self._api.get(self._place.scale)
        try:
            seen = seen_of(raw)
            desired = int(scale["spec"].get("replicas", 0))
            version = scale["metadata"]["resourceVersion"]
            selector = self._place.pods or (scale.get("status") or {}).get("selector", "")
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(
                f"{self._place}: its scale cannot be read ({error!r}); check what stands between"
            ) from error
        pods = await self._ask_pods(selector) if selector else None
        if writes == self._writes:
            # An answer from before a write began says nothing of what the write did.
            newest = (_number(one, otherwise=UNKNOWN) for one in (version, seen.version))
            self._least = max(newest)
        self._scaled = (version, desired)
        if selector != self._selector or pods is None:
            await self._follow_no_pods()
        self._selector = selector
        return Look(seen, desired, pods)

    async def _ask_pods(self, selector: str) -> tuple[Pod, ...] | None:
        now = self._clock.monotonic()
        if self._pods_refused_at is not None and now - self._pods_refused_at < FORBIDDEN_S:
            return None
        try:
            found = await self._api.get(self._place.pods_path, labelSelector=selector)
            pods = {raw["metadata"]["name"]: pod_of(raw) for raw in found["items"]}
        except Unauthorised as error:
            self._pods_refused_at = now
            self._tell_once(
                "are counted from the object's status, as its pods cannot be seen", error
            )
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(
                f"{self._place}: its pods cannot be read ({error!r}); check what stands between"
            ) from error
        self._pods_refused_at = None
        return _in_order(pods)

    async def _begin(self) -> None:
        """Have watched what can be, and say once what cannot."""
        if self._closed:  # while it was asked
            return
        if self._pods is None and self._selector and self._pods_refused_at is None:
            selector = {"labelSelector": self._selector}
            path = self._place.pods_path
            self._pods = Watched(self._api, path, pod_of, self._clock, **selector)
        for watched in (self._object, self._pods):
            if watched is None:
                continue
            watched.start()
            if watched.refused is not None:
                self._tell_once(
                    "are asked for each time, as they cannot be watched", watched.refused
                )

    async def _follow_no_pods(self) -> None:
        pods, self._pods = self._pods, None
        if pods is not None:
            await pods.close()

    def _tell_once(self, what: str, error: Unauthorised) -> None:
        if what not in self._told:
            self._told.add(what)
            log.warning("%s: its replicas %s: %s (told once)", self._place, what, error)


def seen_of(raw: dict[str, Any]) -> Seen:
    """An object as the API tells it; KeyError, TypeError or ValueError when it is none."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    ready = status.get("readyReplicas")
    template = spec.get("leaderWorkerTemplate") or {}
    failures = [
        str(one.get("message", one.get("reason", "")))
        for one in status.get("conditions") or ()
        if one.get("type") == "ReplicaFailure" and one.get("status") == "True"
    ]
    return Seen(
        version=raw["metadata"]["resourceVersion"],
        desired=_count(spec, "replicas", 1),
        existing=_count(status, "replicas", 0),
        ready=ready if isinstance(ready, int) else None,
        size=_count(template, "size", 1),
        failure="; ".join(failures),
    )


def _count(found: Mapping[str, Any], key: str, default: int) -> int:
    value = found.get(key, default)
    # Other kinds may hold anything under these names.
    return value if isinstance(value, int) else default


def _in_order(pods: Mapping[str, Pod]) -> tuple[Pod, ...]:
    return tuple(pods[name] for name in sorted(pods))


def _number(version: str, *, otherwise: float) -> float:
    """Versions of one kind are compared as numbers; one that is none cannot be compared."""
    return float(version) if version.isascii() and version.isdigit() else otherwise
