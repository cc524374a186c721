"""A run of the tests ends with one line that says what was left out, and what brings it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import programs

TESTS = """
import pytest
from support.programs import require_program

@pytest.mark.parametrize("n", range(3))
def test_of_a_broker(n):
    require_program("no-such-broker")

def test_of_a_network():
    require_program("no-such-ip")

def test_of_an_extra():
    pytest.importorskip("no_such_module", reason="the extra is not installed")

def test_of_nothing():
    pass
"""


def run(folder: Path, *options: str, **environment: str) -> tuple[int, list[str]]:
    """Exit status and lines of a run whose tests need what no machine has."""
    tests = Path(programs.__file__).parents[1]
    (folder / "conftest.py").write_text((tests / "conftest.py").read_text())
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", *options, "."]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(tests), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_the_last_line_says_what_was_left_out_and_what_brings_it(options: tuple[str, ...], tmp_path: Path) -> None:
    status, lines = run(tmp_path, *options)
    assert status == 0
    assert lines[-1] == (
        "left out: 5 tests: needs the program no-such-broker (3), needs the program no-such-ip (1), "
        "the extra is not installed (1); to run more of them: apt-get install no-such-broker no-such-ip"
    ), lines
    assert "1 passed, 5 skipped" in lines[-2]


def test_where_all_is_installed_nothing_may_be_left_out(tmp_path: Path) -> None:
    status, lines = run(tmp_path, TESTS_MUST_NOT_SKIP="1")
    assert status == 1
    assert any("no-such-broker (Debian: no-such-broker) is missing" in line for line in lines)
