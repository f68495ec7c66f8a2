"""Logs in to Azure by its default chain: environment, workload identity, managed identity, CLI."""

from typing import Final

from poolwright.actuation.provider import Unauthorised, Unreachable
from poolwright.actuation.tokens import Fetch, Token

try:
    from azure.core.exceptions import (
        AzureError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.identity import DefaultAzureCredential
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the azure provider needs azure-identity; pip install 'poolwright[azure]'"
    ) from missing

CONNECT_S: Final = 2.0
ANSWER_S: Final = 5.0
"""Of one request for a token; a call that waits for it has its own limit."""


def azure_login(scope: str) -> Fetch:
    """Fetches tokens for `scope`, such as `https://management.azure.com/.default`.

    A credential of its own each time: one that was kept would give its kept token again.
    """

    def fetch() -> Token:
        try:
            with DefaultAzureCredential(
                retry_total=0, connection_timeout=CONNECT_S, read_timeout=ANSWER_S
            ) as credential:
                found = credential.get_token(scope)
        except (ServiceRequestError, ServiceResponseError) as error:
            raise Unreachable(
                f"Azure gives no token: {error}; check the network and Azure's status page"
            ) from error
        except AzureError as error:
            # The chain tells one attempt a line.
            raise Unauthorised(
                f"Azure gives no token: {' '.join(str(error).split())}; run with a managed or "
                f"workload identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET"
            ) from error
        return Token(found.token, float(found.expires_on))

    return fetch
