"""Which Azure virtual machine scale set a pool is."""

from collections.abc import Hashable
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from poolwright.actuation.endpoint import Endpoint
from poolwright.actuation.target import Needs, Target

Subscription = Annotated[
    str, Field(strict=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
]
Name = Annotated[str, Field(strict=True, pattern=r"^[\w.()-]{1,90}$")]


class AzureScaleSetTarget(Target):
    needs: ClassVar[Needs | None] = Needs(
        "virtual machine scale sets of Azure, uniform and flexible",
        "environment (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET), workload identity, "
        "or the managed identity of the machine",
        (
            "Microsoft.Compute/virtualMachineScaleSets/read: to read the capacity",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read: to read the instances",
            "Microsoft.Compute/virtualMachines/read: to read those of flexible sets",
            "Microsoft.Compute/virtualMachineScaleSets/instanceView/read: to see why none come",
            "Microsoft.Compute/virtualMachineScaleSets/write: to set the capacity",
            "Microsoft.Insights/autoscaleSettings/read: to see who else sets it (optional)",
            "Microsoft.Authorization/permissions/read: for `check --live` (optional)",
        ),
        extra="azure",
    )

    subscription: Subscription
    resource_group: Name
    name: Name
    endpoint: Endpoint = "https://management.azure.com"
    """Of the Resource Manager of the cloud; tokens are asked for it."""

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        """Azure takes names in any case."""
        return self.subscription.lower(), self.resource_group.lower(), self.name.lower()
