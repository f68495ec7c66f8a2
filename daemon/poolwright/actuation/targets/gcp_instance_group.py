"""Which managed instance group of Google Compute Engine a pool is: of a zone or of a region."""

from collections.abc import Hashable
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from typing_extensions import override

from poolwright.actuation.endpoint import Endpoint
from poolwright.actuation.target import Needs, Target, TargetError

Project = Annotated[
    str, Field(strict=True, pattern=r"^([a-z0-9.-]+:)?[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]
Name = Annotated[str, Field(strict=True, pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=63)]


class GcpInstanceGroupTarget(Target):
    """`zone` or `region`, as the group is zonal or regional."""

    needs: ClassVar[Needs | None] = Needs(
        "managed instance groups of Google Compute Engine, zonal and regional",
        "Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS, workload identity, or "
        "the service account of the machine",
        (
            "compute.instanceGroupManagers.get: to read the size and the instances",
            "compute.instanceGroupManagers.update: to set the size and say which go first",
            "compute.zoneOperations.get, or compute.regionOperations.get: to hear of refusals",
            "compute.autoscalers.get: to see who else sets the size (optional)",
        ),
        extra="gcp",
        chooses=True,
    )

    project: Project
    zone: Name | None = None
    region: Name | None = None
    name: Name
    endpoint: Endpoint = "https://compute.googleapis.com/compute/v1"
    """Of the Compute API, with its version."""
    permissions_endpoint: Endpoint = "https://cloudresourcemanager.googleapis.com/v3"
    """Of the Resource Manager API, which says what the credentials allow."""

    @model_validator(mode="after")
    def _is_of_a_zone_or_of_a_region(self) -> Self:
        if (self.zone is None) == (self.region is None):
            raise TargetError(
                "a group has a `zone` or a `region`, never both",
                "write `zone: us-central1-a` for a zonal group, `region: us-central1` for a "
                "regional one",
            )
        return self

    @property
    def place(self) -> str:
        return f"zones/{self.zone}" if self.zone is not None else f"regions/{self.region}"

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        return self.project, self.place, self.name
