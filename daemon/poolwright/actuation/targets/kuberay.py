"""Which worker group of which RayCluster a pool is."""

from collections.abc import Hashable
from typing import ClassVar

from typing_extensions import override

from poolwright.actuation.kubernetes.waiting import AWAIT_NODES_S, AwaitNodes
from poolwright.actuation.target import Needs, Target, Text


class KubeRayTarget(Target):
    needs: ClassVar[Needs | None] = Needs(
        "worker groups of RayClusters that KubeRay runs",
        "the pod's service account, else the kubeconfig",
        (
            "get, update on rayclusters: to read the count and to set it",
            "list on pods: to count the workers and see why they wait",
        ),
        extra="kubernetes",
    )

    namespace: Text
    cluster: Text
    group: Text
    """Its `groupName`."""
    context: Text | None = None
    """Of the kubeconfig."""
    await_nodes: AwaitNodes = AWAIT_NODES_S

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        return self.context, self.namespace, self.cluster, self.group
