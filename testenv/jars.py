"""The jars of Apache Kafka, fetched once into ``.cache/kafka`` by jgo: no Maven, no Docker."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jgo.maven import MavenContext
from jgo.parse import Endpoint

COORDINATES = (
    "org.apache.kafka:kafka_2.13:4.4.0",
    "org.apache.kafka:kafka-clients:4.4.0",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
)
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "kafka"
SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class JarsError(RuntimeError):
    """The jars could not be fetched."""


def classpath(cache: Path = CACHE) -> str:
    """Return the Java class path of the broker, fetching the jars if they are not there yet."""
    wanted = "+".join(COORDINATES)
    complete = cache / "complete"
    with _locked(cache / "lock"):
        lines = complete.read_text().splitlines() if complete.exists() else []
        if lines[:1] != [wanted]:
            # What an interrupted fetch left may be half a file.
            complete.unlink(missing_ok=True)
            shutil.rmtree(cache / "m2", ignore_errors=True)
            try:
                jars = _fetch(wanted, cache / "m2")
            except Exception as error:
                raise JarsError(f"the jars of Kafka could not be fetched: {error}") from error
            lines = [wanted, *(str(jar.relative_to(cache)) for jar in jars)]
            complete.write_text("\n".join(lines))
    return os.pathsep.join(str(cache / line) for line in lines[1:])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(wanted: str, repository: Path) -> list[Path]:
    """Download `wanted` with all it needs; jgo checks the SHA-1 of each file.

    jgo's command line would start (and without one, download) a Java only to sort jars into class
    path and module path, so its resolver is used directly.
    """
    # requests trusts a list of its own; a machine behind a proxy has its authority in the system's.
    for bundle in SYSTEM_BUNDLES:
        if Path(bundle).exists():
            os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    context = MavenContext(repo_cache=repository, timeout=60)
    roots = [
        context.create_dependency(replace(coordinate, scope="compile"))
        for coordinate in Endpoint.parse(wanted).coordinates
    ]
    inputs, transitive = context.resolver.resolve(roots)
    needed = [*inputs, *(found for found in transitive if found.scope in ("compile", "runtime"))]
    return [found.artifact.resolve() for found in needed]
