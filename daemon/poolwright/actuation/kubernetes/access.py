"""Where a cluster's API is and as whom it is asked: the pod's service account, else the kubeconfig.

Credentials run out while the daemon runs. A token's file is read again every minute, a command is
asked again before what it gave expires, and an answer 401 has everything read anew (`Api`).
"""

import asyncio
import base64
import os
import ssl
from pathlib import Path
from typing import Any, Final, cast

from poolwright.actuation.kubernetes.exec_credential import Command, Token
from poolwright.actuation.provider import Unauthorised
from poolwright.clock import Clock
from poolwright.errors import SettingsError
from poolwright.redaction import never_show

try:
    from lightkube import KubeConfig
    from lightkube.config.client_adapter import verify_cluster
    from lightkube.config.kubeconfig import SingleConfig
    from lightkube.config.models import User
    from lightkube.core.exceptions import ConfigError
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the kubernetes provider needs lightkube; pip install 'poolwright[kubernetes]'"
    ) from missing

TOKEN_FILE_S: Final = 60.0
"""How long a token is used before its file is read again: the kubelet renews it long before."""
EARLY_S: Final = 30.0
"""So much before it expires a command's token is renewed."""


class Access:
    """One reading of the configuration: where, with which TLS, and a token that is kept fresh."""

    def __init__(self, context: str | None, clock: Clock) -> None:
        """Read it; SettingsError says what of it cannot be used."""
        self._clock = clock
        self._token: Token | None = None
        self._renewing = asyncio.Lock()
        try:
            # None is for callers that give a default.
            config = cast("SingleConfig", KubeConfig.from_env().get(context_name=context))
            self._user: User = config.user or User()
            self._folder = config.fname.parent if config.fname is not None else Path()
            self._hide()
            self.url: str = config.cluster.server
            self.tls: ssl.SSLContext = verify_cluster(config.cluster, self._user, config.abs_file)
        except Exception as error:  # its file may hold anything, and each shape is another error
            raise SettingsError(
                f"no Kubernetes credentials: {_said(error)}. Run in a pod with a service account, "
                f"or set KUBECONFIG (now {os.environ.get('KUBECONFIG', 'unset')})"
            ) from error
        if self._user.auth_provider:
            raise SettingsError(
                "the kubeconfig's user has an `auth-provider`, which kubectl no longer knows; "
                "write an `exec` credential instead"
            )

    async def authorization(self) -> str | None:
        """The header's value; None: the certificate says who asks, or nobody does."""
        user = self._user
        if user.username and user.password:
            return f"Basic {base64.b64encode(f'{user.username}:{user.password}'.encode()).decode()}"
        # Of several that ask at once one has it renewed.
        async with self._renewing:
            if self._token is None or self._clock.now() >= self._token.until:
                self._token = await self._fresh()
            return f"Bearer {self._token.value}" if self._token is not None else None

    async def _fresh(self) -> Token | None:
        user = self._user
        if user.token_file is not None:
            return self._from_file(self._folder / user.token_file)
        if user.token is not None:
            return Token(user.token, until=float("inf"))
        if user.exec is None:
            return None
        told = user.exec
        # As kubectl does: a command with a slash in it is relative to the kubeconfig.
        command = str(self._folder / told.command) if "/" in told.command else told.command
        token = await Command(
            told.apiVersion,
            (command, *(told.args or ())),
            {variable.name: variable.value for variable in told.env or ()},
            told.installHint or "",
        ).token()
        return Token(token.value, token.until - EARLY_S)

    def _from_file(self, path: Path) -> Token:
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise Unauthorised(
                f"the token's file {path} cannot be read: {_said(error)}; mount the service "
                f"account's token, or correct tokenFile of the kubeconfig"
            ) from error
        never_show(value)
        return Token(value, self._clock.now() + TOKEN_FILE_S)

    def _hide(self) -> None:
        secrets: list[Any] = [self._user.token, self._user.password, self._user.client_key_data]
        never_show(*(secret for secret in secrets if secret))


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is not in the kubeconfig"
    return f"{type(error).__name__}: {error}" if not isinstance(error, ConfigError) else str(error)
