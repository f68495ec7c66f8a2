"""What tempts a daemon to show its secrets: providers, and APIs that quote what they refuse."""

import asyncio
import base64
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from testenv.fault_proxy import Fault, FaultKind
from testenv.kafka import free_port
from tests.contract.gcp_world import private_key, write_account
from tests.contract.simulated_plant import served

from poolwright import rulefiles
from poolwright.clock import SystemClock
from poolwright.runtime.plant_server import plant_app
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec

KAFKA = "kafka-Pa55/w+rd"
PLANT = "plant:pa$$w@rd/1"
CLUSTER = "cluster-t0ken.with/odd+chars=="
GOSSIP = 'gossip "t0ken" \\ of 2'
PAST = "pr0metheus-passw0rd"
EXPORTER = "exporter-t0ken-9"
AWS = "aws/s3cret/Access+Key/4567890123"
SESSION = "aws//s3ssion+t0ken=="

GOSSIPER = '''\
"""A provider of another package that shows its token wherever it can, but has told it once."""
import asyncio, base64, logging, os, time
from poolwright.actuation.provider import Finding, Level
from poolwright.actuation.target import Target
from poolwright.model.pool import PoolReport
from poolwright.redaction import never_show

log = logging.getLogger(__name__)

class GossipTarget(Target):
    pass

class GossipProvider:
    def __init__(self, pool, settings):
        self._pool, self._token = pool.name, os.environ["ACME_LOGIN"]
        never_show(self._token)
    async def read(self):
        encoded = base64.b64encode(f"me:{self._token}".encode())
        log.info("sending %s and %r", encoded, {"x-key": self._token})
        asyncio.get_running_loop().call_soon(self._fail)
        short = f"the key {self._token} is over its quota"
        return PoolReport(self._pool, time.time(), 1, 1, 0, 0, short)
    def _fail(self):
        raise ValueError(self._token)
    async def set_replicas(self, count, *, key, drain=()):
        raise RuntimeError(f"refused: {{'x-key': {self._token!r}}}")
    async def inspect(self):
        return [Finding(Level.PROBLEM, f"{self._token} may not", f"renew {self._token}")]
    async def close(self):
        raise OSError(f"cannot close https://me:{self._token}@acme.test")
'''

ENVIRONED = "env-t0ken/of+exec-12"
BEARER = "bearer-t0ken/22+22=="
BASIC = "basic-Pa55:w0rd/33"
HMAC = "hmac-k3y/44+4444444=="
MACHINE = "machine-id3ntity.h3ader/99"
AZURE = "azure~acc3ss.t0ken/98+"
GOOGLE = "ya29.g00gle/t0ken+of-100"
SECRETS = (
    *(KAFKA, PLANT, CLUSTER, GOSSIP, PAST, EXPORTER, AWS, SESSION),
    *(ENVIRONED, BEARER, BASIC, HMAC, MACHINE, AZURE, GOOGLE),
    private_key().splitlines()[3],
)

COMMAND = """\
#!{python}
import json, os, sys
asked = json.load(sys.stdin)
seen = f"called with {{os.environ['ACME_LOGIN_2']}} of {{sorted(os.environ.items())}}"
print(seen, file=sys.stderr)
if asked["operation"] == "set_replicas":
    sys.exit(seen)
if asked["operation"] == "inspect":
    print(json.dumps({{"findings": [{{"level": "warning", "what": seen, "remedy": seen}}]}}))
else:
    print(json.dumps({{"desired": 1, "ready": 1, "short": seen}}))
"""

API = """
apiVersion: poolwright/v1
kind: Api
base_url: {url}
auth:
  {auth}
read: {{url: /fleets/chat, desired: /told, ready: /up, short: /why}}
set: {{method: PUT, url: /fleets/chat, body: {{told: "{{count}}"}}}}
{reason}
"""

APIS = {
    "bearer": "bearer: {env: ACME_BEARER}",
    "basic": "basic: {username: me, password: {file: PASSWORD}}",
    "hmac": """hmac:
    key: {env: ACME_SIGNING}
    signs: [method, target, timestamp, body_sha256]
    headers: {Authorization: "ACME {signature}", X-Timestamp: "{timestamp}"}""",
}

RULES = """
apiVersion: poolwright/v1
service: chat
heartbeat: 1s
pools:
  - {name: plant, provider: {simulated: {}}, replicas: {min: 3, max: 9}}
  - {name: cluster, provider: {kubernetes: {kind: Deployment, namespace: inference, name: chat}},
     replicas: {min: 3, max: 9}}
  - {name: gossip, provider: {gossip: {}}, replicas: {min: 3, max: 9}}
  - {name: amazon, provider: {aws_autoscaling: {group: chat}}, replicas: {min: 3, max: 9}}
  - {name: azure, provider: {azure_scale_set: {subscription: 6e1d7ff5-5e7e-4b5f-8d0c-2f0b6a1d9c11,
     resource_group: inference, name: chat, endpoint: CLOUD}}, replicas: {min: 3, max: 9}}
  - {name: google, provider: {gcp_instance_group: {project: acme, zone: us-central1-a, name: chat,
     endpoint: CLOUD, permissions_endpoint: CLOUD}}, replicas: {min: 3, max: 9}}
  - {name: command, provider: {exec: {command: [COMMAND], env: [ACME_LOGIN_2]}},
     replicas: {min: 3, max: 9}}
  - {name: bearer, provider: {http: {ref: bearer}}, replicas: {min: 3, max: 9}}
  - {name: basic, provider: {http: {ref: basic}}, replicas: {min: 3, max: 9}}
  - {name: hmac, provider: {http: {ref: hmac}}, replicas: {min: 3, max: 9}}
limits:
  up: {step: 9, per: 1s, stabilise: 0s}
"""


def variables(folder: Path) -> dict[str, str]:
    """What a daemon is told of secrets, for rules that `write_rules` has written to the folder."""
    return {
        "POOLWRIGHT_KAFKA__SASL_PASSWORD": KAFKA,
        "POOLWRIGHT_HISTORY__PROMETHEUS_URL": f"http://me:{PAST}@127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{EXPORTER}",
        "KUBECONFIG": str(folder / "kubeconfig"),
        "IDENTITY_HEADER": MACHINE,
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"),
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAPOOLWRIGHT",
        "AWS_SECRET_ACCESS_KEY": AWS,
        "AWS_SESSION_TOKEN": SESSION,
        "ACME_LOGIN": GOSSIP,
        "ACME_LOGIN_2": ENVIRONED,
        "ACME_BEARER": BEARER,
        "ACME_SIGNING": HMAC,
    }


def write_rules(folder: Path, cloud: str) -> Path:
    """Rules of a pool of each provider, the command, and the files that describe the cloud."""
    command = folder / "command"
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    password = folder / "password"
    password.write_text(f"{BASIC}\n")
    rules = folder / "rules"
    (rules / "apis").mkdir(parents=True)
    text = RULES.replace("COMMAND", str(command)).replace("CLOUD", cloud)
    (rules / "chat.yaml").write_text(text)
    write_account(folder / "account.json", cloud)
    for name, auth in APIS.items():
        # One tells its reason at a pointer; of the others the whole answer is quoted.
        reason = "reason: /error/message" if name == "bearer" else ""
        text = API.format(url=cloud, auth=auth.replace("PASSWORD", str(password)), reason=reason)
        (rules / "apis" / f"{name}.yaml").write_text(text)
    return rules


def echo(secret: str) -> Fault:
    """A refusal of each write that quotes the request's header, decoded and as it came."""
    quoted = {"Authorization": f"Bearer {secret}", "token": secret, "in_url": quote(secret)}
    basic = base64.b64encode(f"me:{secret}".encode()).decode()
    words = f"Unauthorized: {json.dumps(quoted)} Basic {basic}"
    body = json.dumps({"kind": "Status", "code": 401, "message": words}).encode()
    return Fault(
        FaultKind.STATUS,
        only=lambda request: request.startswith((b"PUT", b"PATCH")),
        status=401,
        body=body,
    )


def echoing() -> Starlette:
    """An API that has one replica, and refuses all else with everything that came, and more."""

    async def answer(request: Request) -> Response:
        tokens = {"/token": GOOGLE, "/machine": AZURE}
        if (token := tokens.get(request.url.path)) is not None:
            expires = {"expires_in": 3600, "expires_on": int(time.time()) + 3600}
            return JSONResponse({"access_token": token, "token_type": "Bearer", **expires})
        if request.url.path.startswith("/fleets") and request.method == "GET":
            counts = {"told": 1, "up": 1, "why": f"no stock for {dict(request.headers)}"}
            return JSONResponse(counts)
        shown = {name: text for name, text in request.headers.items() if "auth" in name}
        came = f"{shown}, not {HMAC}, of {dict(request.headers)} {(await request.body()).decode()}"
        if (token := request.headers.get("x-amz-security-token")) is not None:
            came = f"{token} is unknown: {came}"
            error = f"<Error><Code>AccessDenied</Code><Message>{escape(came)}</Message></Error>"
            return Response(f"<ErrorResponse>{error}</ErrorResponse>", 403)
        # As an API that shows what it has on record beside what came.
        came += f" instead of {BEARER} or {BASIC} or {HMAC}, {quote(BASIC, safe='')}"
        return JSONResponse({"error": {"message": came}}, 401)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "PUT", "POST"])])


def write_kubeconfig(path: Path, url: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": CLUSTER}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(config))


@contextlib.asynccontextmanager
async def plant(rules: Path) -> AsyncIterator[tuple[int, Callable[[], Awaitable[None]]]]:
    """A real plant with two replicas: its port, and a way to stop it before the block ends."""
    clock = SystemClock()
    made = Plant(PlantSpec("chat", (PoolSpec("plant", startup_s=0.5),)), seed=1)
    made.set_replicas("plant", 2, at=clock.now())
    service = rulefiles.load_sources({"chat.yaml": (rules / "chat.yaml").read_text()}).services[0]

    async def live() -> None:
        while True:
            made.advance(clock.now())
            await asyncio.sleep(0.05)

    living = asyncio.create_task(live())
    stack = contextlib.AsyncExitStack()
    url = await stack.enter_async_context(served(plant_app(made, service, clock)))
    try:
        yield int(url.rpartition(":")[2]), stack.aclose
    finally:
        living.cancel()
        await stack.aclose()
