"""Credentials that a command gives (`exec` of a kubeconfig), as aws and kubelogin do.

The contract is client.authentication.k8s.io: the command writes an ExecCredential to its output.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from poolwright.actuation.provider import Unauthorised, Unreachable
from poolwright.redaction import never_show, secrets_in, without_secrets

TIME_LIMIT_S: Final = 8.0
"""Of the command: within the provider call that needs its answer."""
QUOTED: Final = 300


@dataclass(frozen=True, slots=True)
class Token:
    value: str = field(repr=False)
    until: float
    """Seconds since the epoch when it is to be renewed."""


@dataclass(frozen=True, slots=True)
class Command:
    """The `exec` of a kubeconfig's user."""

    api_version: str
    line: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    hint: str = ""
    """What the kubeconfig says about installing it."""

    async def token(self) -> Token:
        """What the command gives now; Unauthorised says why it gives nothing."""
        never_show(*secrets_in(self.environment))
        name = Path(self.line[0]).name
        info = {
            "apiVersion": self.api_version,
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        environment = {**os.environ, **self.environment, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        try:
            process = await asyncio.create_subprocess_exec(
                *self.line,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            remedy = self.hint or "install it, or correct exec of the kubeconfig"
            raise Unauthorised(
                f"the credentials' command {name} cannot be run: {error.strerror}; {remedy}"
            ) from error
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                out, complaint = await process.communicate()
        except TimeoutError as error:
            raise Unreachable(
                f"the credentials' command {name} did not end within {TIME_LIMIT_S:g} s; run it by "
                f"hand to see what it waits for"
            ) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            said = without_secrets(complaint.decode(errors="replace")).strip()[-QUOTED:]
            raise Unauthorised(
                f"the credentials' command {name} ended with {process.returncode}: {said}; log in "
                f"again or correct exec of the kubeconfig"
            )
        return _parsed(name, out)


def _parsed(name: str, out: bytes) -> Token:
    try:
        status = json.loads(out)["status"]
        token = status["token"]
        until = status.get("expirationTimestamp")
        expires = float("inf") if until is None else datetime.fromisoformat(until).timestamp()
    except (ValueError, KeyError, TypeError, AttributeError):
        # What it wrote may hold the credential: nothing of it is quoted.
        raise Unauthorised(
            f"the credentials' command {name} gave no ExecCredential with a token (client "
            f"certificates from a command are not supported)"
        ) from None
    never_show(token)
    return Token(token, expires)
