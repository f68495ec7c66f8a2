"""What the clients of the providers cost: the import, what a first use adds, and a command's start.

Each import runs in a fresh interpreter, several times; the least of CPU and of resident memory is
shown. A client that is not installed is left out.
"""

import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import time

from poolwright.actuation.providers.exec import ExecProvider
from poolwright.model.rule import PoolRole, PoolRule
from poolwright.settings import Settings

RUNS = 5
CALLS = 40
IMPORTS = {
    "httpx2": "import httpx2",
    "httpx2, google-auth": "import httpx2, google.auth.transport.requests",
    "google-api-python-client": "import googleapiclient.discovery",
    "httpx2, azure-identity": "import httpx2, azure.identity",
    "azure-mgmt-compute, async": "import azure.mgmt.compute.aio, azure.identity.aio",
    "aiobotocore": "import aiobotocore.session",
    "httpx2, lightkube": "import httpx2, lightkube",
}
"""What a process must have imported before it can ask, by the client's name."""
USES = {"autoscaling": "Auto Scaling", "eks": "EKS", "sagemaker": "SageMaker"}
BEGINNING = "import time; began = time.process_time()"
SAYING = """
took = time.process_time() - began
import json, os
# Not the highest so far: that is inherited from the process that started this one.
pages = int(open("/proc/self/statm").read().split()[1])
print(json.dumps([took, pages * os.sysconf("SC_PAGESIZE") / 1e6]))
"""
FIRST_USE = """
import asyncio, aiobotocore.session
async def use():
    session = aiobotocore.session.get_session()
    given = {{"aws_access_key_id": "x", "aws_secret_access_key": "x"}}
    async with session.create_client("{service}", region_name="eu-west-1", **given):
        pass
asyncio.run(use())
"""
ANSWER = '{"version": 1, "desired": 2, "ready": 2}'


def measured(code: str) -> tuple[float, float]:
    """CPU seconds and MB of a process that has run it, the least of some."""
    program = f"{BEGINNING}\n{code}\n{SAYING}"
    found = [
        json.loads(subprocess.run([sys.executable, "-c", program], check=True,
                                  capture_output=True).stdout)
        for _ in range(RUNS)
    ]  # fmt: skip
    return min(cpu for cpu, _ in found), min(mb for _, mb in found)


async def call_ms(*command: str) -> float:
    """Median of a read by the `exec` provider, in milliseconds of wall time."""
    target = {"command": list(command)}
    pool = PoolRule("p", PoolRole.DEFAULT, "exec", target, 0, 9)
    provider = ExecProvider(pool, Settings())
    took = []
    for _ in range(CALLS):
        began = time.monotonic()
        await provider.read()
        took.append(time.monotonic() - began)
    await provider.close()
    return statistics.median(took) * 1000


def main() -> None:
    _, empty_mb = measured("")
    print(f"an empty interpreter has {empty_mb:.0f} MB; what comes on top:")
    for name, code in IMPORTS.items():
        modules = code.removeprefix("import ").split(", ")
        if all(importlib.util.find_spec(module.partition(".")[0]) for module in modules):
            cpu_s, mb = measured(code)
            print(f"  {name:26} {cpu_s * 1000:5.0f} ms of CPU, {mb - empty_mb:4.0f} MB")
    _, imported_mb = measured(IMPORTS["aiobotocore"])
    for service, name in USES.items():
        cpu_s, mb = measured(FIRST_USE.format(service=service))
        print(f"  {'aiobotocore, first ' + name:26} {cpu_s * 1000:5.0f} ms of CPU, "
              f"{mb - imported_mb:4.0f} MB more than its import")  # fmt: skip
    shell = asyncio.run(call_ms("/bin/sh", "-c", f"cat > /dev/null; echo '{ANSWER}'"))
    python = asyncio.run(
        call_ms(sys.executable, "-c", f"import sys; sys.stdin.read(); print('{ANSWER}')")
    )
    print(f"a command's call: {shell:.0f} ms with a shell, {python:.0f} ms with Python")


if __name__ == "__main__":
    main()
