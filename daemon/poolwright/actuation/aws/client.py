"""Calls of AWS: one request each, never repeated by the client, with only `provider`'s errors.

Credentials are found and refreshed by botocore. Where AWS says that they have expired all the same
(a rotated key in a file, a new token in the environment's file) a fresh session reads them anew,
once a call: what was refused for its signature has not been done, so it is safe to ask again.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

try:
    import aiohttp
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
        TokenRetrievalError,
    )
    from botocore.loaders import create_loader
    from botocore.parsers import ResponseParserError
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the aws providers need aiobotocore; pip install 'poolwright[aws]'"
    ) from missing

from poolwright.actuation.aws.meanings import STALE, ForeignAnswerError, code_of, meaning_of
from poolwright.actuation.aws.target import AwsTarget
from poolwright.actuation.provider import (
    Finding,
    Invalid,
    Level,
    Unauthorised,
    Unreachable,
)
from poolwright.clock import SystemClock
from poolwright.errors import SettingsError
from poolwright.redaction import never_show

# At DEBUG both log what they sign and what they receive: session tokens and secret keys. At INFO
# they say for each client where it found its settings.
for _name in ("botocore", "aiobotocore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONFIG: Final = AioConfig(
    retries={"total_max_attempts": 1, "mode": "standard"},
    connect_timeout=3.0,
    read_timeout=8.0,
    max_pool_connections=4,
    user_agent_extra="poolwright",
    warm_up_loader_caches=True,  # reads the service's description in a thread, not in the loop
)
LOADER: Final = create_loader()
"""Keeps the descriptions of services: once a process, not once a pool."""
MARKS: Final = (b"<Code>", b'"__type"', b'"code"')
"""What the errors of AWS have in them, by wire format."""


@dataclass(slots=True)
class _Session:
    """Credentials and the clients that sign with them, by service."""

    session: AioSession
    region: str
    clients: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    """Under way; a session that has been replaced is closed after the last."""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def client(self, service: str) -> Any:
        async with self.opening:
            if service not in self.clients:
                made = self.session.create_client(service, region_name=self.region, config=CONFIG)
                self.clients[service] = await self.stack.enter_async_context(made)
        if (credentials := await self.session.get_credentials()) is not None:
            read = await credentials.get_frozen_credentials()
            never_show(*filter(None, (read.secret_key, read.token)))
        return self.clients[service]


class Aws:
    """The services of AWS where a pool's target is; `where` names the target in messages."""

    def __init__(self, target: AwsTarget, where: str) -> None:
        self._profile = target.profile
        self._clock = SystemClock()
        try:
            session = self._fresh()
            session.get_scoped_config()  # raises where there is no such profile
            region = target.region or session.get_config_variable("region")
        except ProfileNotFound as error:
            raise SettingsError(
                f"{error}; correct `profile` of the target or add it to the AWS config file"
            ) from error
        # botocore itself reads AWS_DEFAULT_REGION; containers are mostly given AWS_REGION.
        region = region or os.environ.get("AWS_REGION")
        if not region:
            raise SettingsError(
                "no AWS region: write `region` in the target, or set AWS_REGION or a region in the"
                " profile"
            )
        self.where = f"{where} in {region}"
        self._current = _Session(session, region)

    async def call(self, service: str, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """The answer, or one of `provider`'s errors. `operation` is named as a client's method."""
        said = f"{self.where}: {operation}"
        session = self._current
        try:
            try:
                return await self._asked(session, service, operation, arguments)
            except ClientError as error:
                if code_of(error) not in STALE:
                    raise
            await self._replace(session)
            return await self._asked(self._current, service, operation, arguments)
        except (ClientError, ForeignAnswerError) as error:
            raise meaning_of(error, said, now=self._clock.now()) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise Unauthorised(f"{said}: {error}; give the daemon AWS credentials") from error
        except (CredentialRetrievalError, TokenRetrievalError) as error:
            # What a credential process printed is in the error's text, and may be a secret.
            provider = error.kwargs.get("provider", "")
            raise Unauthorised(
                f"{said}: no credentials could be had from {provider}; look at its own log"
            ) from None
        except ParamValidationError as error:
            raise Invalid(f"{said}: {error}; correct the target") from error
        except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(
                f"{said}: AWS gave no whole answer ({type(error).__name__}); check the network and"
                f" AWS's status page"
            ) from error

    async def close(self) -> None:
        await self._current.stack.aclose()

    async def _asked(
        self, session: _Session, service: str, operation: str, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        session.calls += 1
        try:
            client = await session.client(service)
            answer: Mapping[str, Any] = await getattr(client, operation)(**arguments)
            return answer
        finally:
            session.calls -= 1
            if session is not self._current and not session.calls:
                await session.stack.aclose()

    async def _replace(self, old: _Session) -> None:
        if old is not self._current:  # another call has done it in the meantime
            return
        self._current = _Session(self._fresh(), old.region)
        if not old.calls:
            await old.stack.aclose()

    def _fresh(self) -> AioSession:
        session = AioSession(profile=self._profile)
        session.register_component("data_loader", LOADER)
        session.register("before-parse", _refuse_foreign)
        return session


async def looked_at(look: Awaitable[Any], findings: list[Finding], purpose: str) -> Any:
    """What `check --live` looked at; None and a warning where the credentials do not allow it."""
    try:
        return await look
    except Unauthorised as error:
        findings.append(Finding(Level.WARNING, str(error), f"allow it, {purpose}"))
        return None


def lacks(where: str, what: object) -> Unreachable:
    """For an answer without what AWS promises to be in it: its count is not known."""
    return Unreachable(f"{where}: the answer of AWS lacks {what}; try again or report it")


def _refuse_foreign(operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
    """Before botocore reads an answer.

    Its XML reader loses the status of an error that it cannot read, and its JSON reader takes any
    text for a success.
    """
    status, body = response_dict["status_code"], response_dict["body"].lstrip()
    headers = {name.lower(): value for name, value in response_dict["headers"].items()}
    if status < 400:
        xml = operation_model.service_model.resolved_protocol == "query"
        foreign = not body.startswith(b"<" if xml else b"{")
    else:
        foreign = "x-amzn-errortype" not in headers and not any(mark in body for mark in MARKS)
    if foreign:
        raise ForeignAnswerError(status, headers)
