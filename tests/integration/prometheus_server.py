"""A server that speaks Prometheus' query_range.

It is ours, over real HTTP: its answers are those that Prometheus 2.42 gave to the same queries,
errors included.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from poolwright.forecasting.season import BIN_S

Pairs = list[tuple[float, str]]
NONE = '{"status":"success","data":{"resultType":"matrix","result":[]}}'


def matrix(pairs: Pairs) -> str:
    result = [{"metric": {}, "values": pairs}]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@dataclass
class Server:
    """Answers with what `answer` makes of a query's parameters: the status and the body."""

    url: str = ""
    answer: Callable[[dict[str, str]], tuple[int, str]] = lambda _: (200, NONE)
    asked: list[dict[str, str]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    """A hanging answer waits for it."""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    it = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            assert parts.path == "/api/v1/query_range"
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            it.asked.append(parameters)
            status, body = it.answer(parameters)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Threads(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that has gone is no error of the server's."""

    http = Threads(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield it
    finally:
        it.go_on.set()
        http.shutdown()
        thread.join()
        http.server_close()


def at_ends(first: float, *values: str, step_s: int = BIN_S) -> Pairs:
    """A row's value stands at its end."""
    return [(first + (n + 1) * step_s, value) for n, value in enumerate(values)]
