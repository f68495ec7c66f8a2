"""Ports of this machine: a free one, whether one answers, and what a broker there tells."""

import socket
import struct

HOST = "127.0.0.1"


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


def live_brokers(port: int) -> int:
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


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("closed early")
        data += chunk
    return data
