"""Logs in to Azure by its default chain: environment, workload identity, managed identity, CLI."""

from collections.abc import Iterator
from typing import Final

from poolwright.actuation.provider import CallError, Unauthorised, Unreachable
from poolwright.actuation.tokens import Fetch, Token

try:
    from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
    from azure.identity import CredentialUnavailableError, DefaultAzureCredential
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the azure_scale_set provider needs azure-identity; pip install 'poolwright[azure]'"
    ) from missing

CONNECT_S: Final = 2.0
ANSWER_S: Final = 5.0
"""Of one request for a token; a call that waits for it has its own limit."""


def azure_login(scope: str) -> Fetch:
    """Fetches tokens for `scope`, such as `https://management.azure.com/.default`.

    A chain of its own each time: one that was kept would give its kept token again. Its credentials
    are asked one by one, as the chain itself tells an outage and a refusal alike.
    """

    def fetch() -> Token:
        tried: list[str] = []
        with DefaultAzureCredential(
            retry_total=0, connection_timeout=CONNECT_S, read_timeout=ANSWER_S
        ) as chain:
            for credential in chain.credentials:
                try:
                    found = credential.get_token(scope)  # type: ignore[union-attr]
                except CredentialUnavailableError as error:
                    tried.append(_told(credential, error))
                except AzureError as error:
                    raise _meaning(error, _told(credential, error)) from error
                else:
                    return Token(found.token, float(found.expires_on))
        raise Unauthorised(
            f"no Azure credentials: {'; '.join(tried)}; run with a managed or workload identity, "
            f"or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
        )

    return fetch


def _told(credential: object, error: AzureError) -> str:
    return f"{type(credential).__name__}: {' '.join(str(error).split())}"


def _meaning(error: AzureError, said: str) -> CallError:
    if any(isinstance(x, ServiceRequestError | ServiceResponseError) for x in _causes(error)):
        return Unreachable(f"Azure gives no token: {said}; check the network and its status page")
    return Unauthorised(f"Azure gives no token: {said}; correct what the credential is made of")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
