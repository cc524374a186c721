"""What fails among others is tried alone; what is broken stays so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")
FLAKY = "def test_flaky():\n    import os\n    assert 'PYTEST_XDIST_WORKER' not in os.environ\n"
BROKEN = "import pytest\n@pytest.mark.parametrize('n', range({}))\ndef test_broken(n):\n    assert n < 0\n"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (FLAKY, 0, "FLAKY: failed among the others, passed alone:\n  test_it.py::test_flaky"),
        (FLAKY + BROKEN.format(1), 1, "1 failed, 1 passed"),
        (BROKEN.format(4), 1, "4 failed"),
    ],
)
def test_what_fails_among_others_is_tried_alone(text: str, status: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(text)
    command = [sys.executable, str(RUN), "-p", "no:cov", "-n", "1", "test_it.py"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, check=False)
    assert ran.returncode == status, ran.stdout
    assert said in ran.stdout
    assert ("now alone" in ran.stdout) is (text != BROKEN.format(4))
