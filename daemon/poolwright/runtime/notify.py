"""Tells systemd how the daemon is: the sd_notify protocol in pure Python.

One datagram to the socket that `NOTIFY_SOCKET` names. libsystemd's bindings would be a compiled
dependency for these few lines. Without the variable (no systemd) each call does nothing, and a
broken socket never harms the daemon: losing a status line is better than losing the control loop.
"""

import os
import socket
import time


def ready() -> bool:
    """Start-up, or a reload, is complete."""
    return _send("READY=1")


def reloading() -> bool:
    """A reload begins; systemd (v253 and newer, `notify-reload`) pairs it with the next `ready`."""
    # systemd compares with its own CLOCK_MONOTONIC, never with the daemon's scaled one.
    now_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return _send(f"RELOADING=1\nMONOTONIC_USEC={now_usec}")


def status(text: str) -> bool:
    """One line for `systemctl status`."""
    return _send("STATUS=" + " ".join(text.split()))


def watchdog() -> bool:
    """The daemon is alive; call it at least every `watchdog_interval_s`."""
    return _send("WATCHDOG=1")


def stopping() -> bool:
    """The daemon has begun to stop."""
    return _send("STOPPING=1")


def watchdog_interval_s() -> float | None:
    """Half of what `WatchdogSec` allows, in real seconds; None without a watchdog."""
    try:
        limit_usec = int(os.environ.get("WATCHDOG_USEC", ""))
        # The variables are inherited: they may be meant for the process that started this one.
        watched = int(os.environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    if limit_usec <= 0 or watched != os.getpid():
        return None
    return limit_usec / 2_000_000


def _send(message: str) -> bool:
    """True when the message was handed to systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            # A full queue must not stop the event loop.
            sock.setblocking(False)
            sock.sendto(message.encode(), address)
    except OSError:
        return False
    return True
