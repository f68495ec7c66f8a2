"""A run in which something was left out must not look green on CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = "from testenv.skips import pytest_make_collect_report, pytest_runtest_makereport\n"
CASES = {
    "mark": "import pytest\n@pytest.mark.skip(reason='why')\ndef test_it(): ...\n",
    "call": "import pytest\ndef test_it(): pytest.skip('why')\n",
    "fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('why')\ndef test_it(f): ...\n",
    "module": "import pytest\npytest.skip('why', allow_module_level=True)\n",
    "import": "import pytest\npytest.importorskip('no_such_module', reason='why')\n",
}
TRACES = "import pytest\n@pytest.mark.traces\ndef test_it(): pytest.skip('why')\n"
XFAIL = "import pytest\n@pytest.mark.xfail(reason='why')\ndef test_it(): assert False\n"


def run(folder: Path, test: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test + "def test_other(): ...\n")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = traces: x\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci, "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("case", CASES)
def test_a_skip_fails_on_ci_and_says_why(tmp_path: Path, case: str) -> None:
    done = run(tmp_path, CASES[case], "true")
    assert done.returncode != 0
    assert "must not be skipped on CI" in done.stdout
    assert "why" in done.stdout


@pytest.mark.parametrize("test", [TRACES, XFAIL], ids=["traces", "xfail"])
def test_what_may_be_left_out_may(tmp_path: Path, test: str) -> None:
    assert run(tmp_path, test, "true").returncode == 0


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path, CASES["call"], "")
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
