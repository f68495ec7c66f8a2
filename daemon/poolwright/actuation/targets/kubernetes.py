"""Which Kubernetes object a pool is: of a usual kind, or of any that has a scale subresource."""

from collections.abc import Hashable, Mapping
from typing import ClassVar, Final

from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import override

from poolwright.actuation.kubernetes.waiting import AWAIT_NODES_S, AwaitNodes
from poolwright.actuation.target import Needs, Target, TargetError, Text

KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io/v1", "leaderworkersets"),
}
"""API version and plural, by kind."""
LEADER_WORKER_SET: Final = "leaderworkerset.sigs.k8s.io/name"
"""Label of all pods of a LeaderWorkerSet."""


class KubernetesTarget(Target):
    """`apiVersion` and `plural` are for kinds that are not known here."""

    needs: ClassVar[Needs | None] = Needs(
        "any Kubernetes object with a scale subresource",
        "the pod's service account, else the kubeconfig",
        (
            "get on the kind: to read the count and the ready replicas",
            "get, update on <kind>/scale: to set the count",
            "list, watch on the kind: to be told of changes instead of asking (optional)",
            "list, watch on pods: to count replicas and see why they wait (optional)",
            "patch on pods: to have the least loaded go first (optional)",
            "list on horizontalpodautoscalers, scaledobjects: for check --live (optional)",
        ),
        extra="kubernetes",
        chooses=True,
    )

    api_version: Text | None = Field(default=None, alias="apiVersion")
    plural: Text | None = None
    kind: Text
    namespace: Text
    name: Text
    context: Text | None = None
    """Of the kubeconfig."""
    await_nodes: AwaitNodes = AWAIT_NODES_S

    @field_validator("kind")
    @classmethod
    def _is_known_or_described(cls, kind: str, info: ValidationInfo) -> str:
        # A key with a mistake of its own is not in `data`: what it was to say cannot be known.
        lacking = [key for key in ("api_version", "plural") if info.data.get(key, "") is None]
        if kind not in KNOWN and lacking:
            hint = "correct it; any other kind needs its `apiVersion` and `plural` as well"
            raise TargetError(f"the kind `{kind}` is none of {', '.join(KNOWN)}", hint)
        return kind

    def resource(self) -> tuple[str, str]:
        """API version and plural."""
        version, plural = KNOWN.get(self.kind, ("", ""))
        return self.api_version or version, self.plural or plural

    def usual(self) -> bool:
        """Whether it is known where the counts are, and that a zero is left out of the status."""
        return self.kind in KNOWN and self.resource() == KNOWN[self.kind]

    def pods_selector(self) -> str:
        """Of a group's pods the scale names the leader alone; '' where it names all."""
        return f"{LEADER_WORKER_SET}={self.name}" if self.kind == "LeaderWorkerSet" else ""

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        """Versions of a group show the same objects. Which context is the default is not known."""
        group = self.resource()[0].rpartition("/")[0]
        return self.context, group, self.kind, self.namespace, self.name
