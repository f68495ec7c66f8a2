"""The programs of a control plane, built by Go once a machine into a folder of the user's cache.

`k8s.io/kubernetes` cannot be installed by `go install`, as it replaces modules by folders of its
own. The module beside this file requires it and replaces them by what was published; its go.mod and
go.sum pin all that goes in. A cold build takes minutes and some 4 GB of Go's own cache.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

MODULE: Final = Path(__file__).parent
BUILT: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ETCD: Final = "etcd"
GO: Final = "/usr/local/go/bin/go"
"""Where Go's own installer puts it, which is on no system's path by itself."""


class BuildError(RuntimeError):
    """A program is missing and cannot be had; the message says how to get it."""


def version() -> str:
    """Of Kubernetes, from the one place where it stands."""
    for line in (MODULE / "go.mod").read_text().splitlines():
        name, _, found = line.strip().removeprefix("require ").partition(" ")
        if name == "k8s.io/kubernetes":
            return found.split()[0]
    raise BuildError(f"{MODULE / 'go.mod'} does not require k8s.io/kubernetes")


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "poolwright" / f"kubernetes-{version()}"


def programs() -> Mapping[str, Path]:
    """By name, those that are there."""
    found = {name: folder() / name for name in (*BUILT, ETCD)}
    if not found[ETCD].exists() and (installed := shutil.which(ETCD)) is not None:
        found[ETCD] = Path(installed)
    return {name: path for name, path in found.items() if path.exists()}


def missing() -> list[str]:
    there = programs()
    return [name for name in (*BUILT, ETCD) if name not in there]


def build() -> None:
    """Make what is missing; whoever comes second waits and finds it."""
    folder().mkdir(parents=True, exist_ok=True)
    with _locked(folder() / "lock"):
        for name in missing():
            if name == ETCD:
                print(f"{name} is missing: taking it from Debian's package", flush=True)
                _unpack_etcd(folder() / name)
            else:
                print(f"{name} is missing: building it, minutes, once a machine", flush=True)
                _compile(name, folder() / name)


def _compile(name: str, target: Path) -> None:
    go = shutil.which("go") or shutil.which(GO)
    if go is None:
        raise BuildError(
            f"{name} has to be built and there is no Go here; install Go 1.26 or later"
        )
    partial = target.with_suffix(".partial")
    flags = f"-s -w -X k8s.io/component-base/version.gitVersion={version()}"
    command = [go, "build", "-trimpath", "-ldflags", flags, "-o", str(partial)]
    done = subprocess.run(
        [*command, f"k8s.io/kubernetes/cmd/{name}"],
        cwd=MODULE,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{name} could not be built; Go's own words are above")
    partial.rename(target)


def _unpack_etcd(target: Path) -> None:
    """Debian's etcd, taken out of its package: installed, it would run as a service."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise BuildError("there is no etcd here and no apt-get; install etcd 3.4 or later")
    if os.geteuid() == 0:
        subprocess.run([apt, "update", "-qq"], check=False)
    with tempfile.TemporaryDirectory() as scratch:
        # apt's own user fetches, where it may; here the folder is open to it.
        Path(scratch).chmod(0o777)
        fetched = subprocess.run([apt, "download", "-qq", "etcd-server"], cwd=scratch, check=False)
        packages = list(Path(scratch).glob("etcd-server_*.deb"))
        if fetched.returncode != 0 or not packages:
            raise BuildError(
                "etcd could not be fetched: run as root (for apt-get update) on Debian or Ubuntu, "
                "or install etcd 3.4 or later yourself"
            )
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), scratch], check=True)
        partial = target.with_suffix(".partial")
        shutil.copy2(Path(scratch) / "usr" / "bin" / "etcd", partial)
        partial.rename(target)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
