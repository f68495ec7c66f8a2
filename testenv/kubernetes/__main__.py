"""``python -m testenv.kubernetes``: build what is missing; ``--serve``: and run it until Ctrl-C."""

import argparse
import signal
import threading

from testenv.kubernetes.build import BuildError, build, folder
from testenv.kubernetes.control_plane import ControlPlane


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testenv.kubernetes", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="run the control plane, too")
    arguments = parser.parse_args()
    try:
        build()
    except BuildError as error:
        raise SystemExit(str(error)) from None
    print(f"the control plane's programs are in {folder()}", flush=True)
    if arguments.serve:
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        with ControlPlane() as plane:
            print(f"KUBECONFIG={plane.kubeconfig}", flush=True)
            ended.wait()


if __name__ == "__main__":
    main()
