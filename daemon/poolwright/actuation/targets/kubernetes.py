"""Which Kubernetes object a pool is: of a usual kind, or of any that has a scale subresource."""

from collections.abc import Hashable, Mapping
from typing import ClassVar, Final

from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import override

from poolwright.actuation.target import Needs, Target, TargetError, Text

KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io/v1", "leaderworkersets"),
}
"""API version and plural, by kind."""


class KubernetesTarget(Target):
    """`apiVersion` and `plural` are for kinds that are not known here."""

    needs: ClassVar[Needs | None] = Needs(
        "any Kubernetes object with a scale subresource",
        "the pod's service account, else the kubeconfig",
        (
            "get on the kind: to read the count and the ready replicas",
            "get, update on <kind>/scale: to set the count",
            "patch on pods: to have the least loaded go first (optional)",
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

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        """Versions of a group show the same objects. Which context is the default is not known."""
        group = self.resource()[0].rpartition("/")[0]
        return self.context, group, self.kind, self.namespace, self.name
