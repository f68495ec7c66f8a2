"""What `check --live` finds of an object: what the role lacks, and who else sets the count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from poolwright.actuation.kubernetes.api import Api
from poolwright.actuation.kubernetes.following import Place
from poolwright.actuation.kubernetes.marking import CHOOSING
from poolwright.actuation.provider import Finding, Gone, Level, Unauthorised

REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on a resource. `without` says what is lost; a required one loses all."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    without: str
    required: bool = False
    named: bool = True
    """Whether a rule may be restricted to the object's name."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A kind of object that sets counts of others."""

    group: str
    version: str
    plural: str
    kind: str
    remedy: str


HPA: Final = Rival(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    "delete it: kubectl -n {namespace} delete hpa {name}",
)
KEDA: Final = Rival(
    "keda.sh",
    "v1alpha1",
    "scaledobjects",
    "ScaledObject",
    "delete it, which deletes its HorizontalPodAutoscaler, too: "
    "kubectl -n {namespace} delete scaledobject {name}",
)
RIVALS: Final = (KEDA, HPA)


async def inspect(api: Api, place: Place) -> list[Finding]:
    """Asks only: reviews of the own rights store nothing."""
    findings = await lacking(api, place, _rights(place))
    if not any(finding.level is Level.PROBLEM for finding in findings):
        findings.insert(0, Finding(Level.OK, f"{place} may be read and scaled"))
    for rival in RIVALS:
        findings += await _rivals(api, place, rival)
    return findings


async def lacking(api: Api, place: Place, rights: Iterable[Right]) -> list[Finding]:
    """A finding for each right of which the credentials lack a verb."""
    findings: list[Finding] = []
    # One after the other: nothing goes on in the background when one fails.
    for right in rights:
        verbs = [verb for verb in right.verbs if not await _allowed(api, place, right, verb)]
        if verbs:
            findings.append(_told_lacking(place, right, verbs))
    return findings


def _rights(place: Place) -> list[Right]:
    plural = place.plural
    rights = [
        Right(place.group, plural, ("get",), "the count cannot be read", required=True),
        Right(
            place.group,
            f"{plural}/scale",
            ("get", "update"),
            "the count cannot be set",
            required=True,
        ),
        Right(place.group, plural, ("list", "watch"), "it is asked for at each look"),
        Right(
            "",
            "pods",
            ("list", "watch"),
            "replicas are counted from the object's status, and why pods wait is not known",
            named=False,
        ),
    ]
    if place.kind in CHOOSING:
        lost = "Kubernetes chooses which replicas go, not the least loaded"
        rights.append(Right("", "pods", ("patch",), lost, named=False))
    return rights


async def _allowed(api: Api, place: Place, right: Right, verb: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    asked = {
        "namespace": place.namespace,
        "verb": verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    if right.named:
        asked["name"] = place.name
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = await api.post(REVIEWS, review)
    return bool((answer.get("status") or {}).get("allowed"))


def _told_lacking(place: Place, right: Right, verbs: Sequence[str]) -> Finding:
    names = f", resourceNames: [{place.name}]" if right.named else ""
    group = right.group or '""'
    return Finding(
        Level.PROBLEM if right.required else Level.WARNING,
        f"the role lacks {', '.join(verbs)} on {right.resource} in {place.namespace}: "
        f"{right.without}",
        f"add to its rules: {{apiGroups: [{group}], resources: [{right.resource}], "
        f"verbs: [{', '.join(verbs)}]{names}}}",
    )


async def _rivals(api: Api, place: Place, rival: Rival) -> list[Finding]:
    path = f"/apis/{rival.group}/{rival.version}/namespaces/{place.namespace}/{rival.plural}"
    try:
        found = await api.get(path)
    except Gone:  # a cluster without KEDA
        return []
    except Unauthorised:
        if not await _served(api, rival):
            return []
        return [
            Finding(
                Level.WARNING,
                f"whether a {rival.kind} sets the count of {place}, too, cannot be known: the "
                f"role lacks list on {rival.plural}",
                f"add to its rules: {{apiGroups: [{rival.group}], resources: [{rival.plural}], "
                f"verbs: [list]}}",
            )
        ]
    return [
        _told_rival(place, rival, one)
        for one in found.get("items", ())
        if _aims(one, place) and not _made_by_keda(one)
    ]


async def _served(api: Api, rival: Rival) -> bool:
    """What is forbidden may not even exist; which groups there are everybody may ask."""
    try:
        await api.get(f"/apis/{rival.group}")
    except Gone:
        return False
    except Unauthorised:
        pass
    return True


def _made_by_keda(found: dict[str, Any]) -> bool:
    """An autoscaler that goes with its ScaledObject, which is told by itself."""
    owners = found["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") == KEDA.kind for owner in owners)


def _aims(rival: dict[str, Any], place: Place) -> bool:
    # KEDA's default is a Deployment; versions of a group show the same objects.
    aim = (rival.get("spec") or {}).get("scaleTargetRef") or {}
    group = aim.get("apiVersion", "apps/v1").rpartition("/")[0]
    return (group, aim.get("kind", "Deployment"), aim.get("name")) == (
        place.group,
        place.kind,
        place.name,
    )


def _told_rival(place: Place, rival: Rival, found: dict[str, Any]) -> Finding:
    name = found["metadata"]["name"]
    remedy = rival.remedy.format(namespace=place.namespace, name=name)
    return Finding(
        Level.PROBLEM,
        f"the {rival.kind} {name} sets the count of {place}, too: each undoes what the other does",
        f"{remedy}; or leave the object to it and set this service's mode to advise",
    )
