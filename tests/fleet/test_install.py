"""A version is installed as a whole or not at all; each on a /opt of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.programs import with_mounts

SCRIPT = Path(__file__).parents[2] / "deploy" / "ansible" / "roles" / "edgeaudio" / "files" / "install.sh"
# in place of Python: an environment whose pip does as the test says, and notes how it was called
PYTHON = """\
#!/bin/sh
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$TMPDIR" "$@" >>/opt/calls\\n%s\\n' "$PIP" >"$3/bin/pip"
printf '#!/bin/sh\\n%s\\n' "$AGENT" >"$3/bin/edgeaudio"
chmod +x "$3/bin/pip" "$3/bin/edgeaudio"
"""
RUN = """
mkdir -p /opt/edgeaudio/.incoming/wheels
cp "$1" /opt/edgeaudio/.incoming/install.sh
for list in $3; do echo x >/opt/edgeaudio/.incoming/$list; done
sh /opt/edgeaudio/.incoming/install.sh 1.2.3 "$2" "$4" 2>&1 && echo done
cat /opt/calls
cd /opt && find edgeaudio -mindepth 1 -maxdepth 2 | sort
"""


def install(
    tmp_path: Path, *, pip: str = "", agent: str = "", lists: str = "amd64-3.11.txt", source: str = "wheels"
) -> str:
    python = tmp_path / "python3.11"
    python.write_text(PYTHON)
    python.chmod(0o755)
    mounts = with_mounts("mount -t tmpfs -o size=1m tmpfs /opt")
    done = subprocess.run(
        [*mounts, "sh", "-c", RUN, "sh", str(SCRIPT), str(python), lists, source],
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PIP": pip, "AGENT": agent},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout


def test_a_whole_version_is_marked_and_what_came_is_gone(tmp_path: Path) -> None:
    output = install(tmp_path)
    assert "done" in output
    assert "edgeaudio/1.2.3/.installed" in output
    assert ".incoming" not in output.partition("edgeaudio/1.2.3")[2]
    assert "--require-hashes" in output
    assert "--no-index" in output
    assert "/opt/edgeaudio/.incoming/tmp --quiet" in output  # not /tmp, which may be in memory


def test_what_has_no_hash_is_installed_by_itself_and_first(tmp_path: Path) -> None:
    output = install(tmp_path, lists="armhf-3.11.txt armhf-3.11-unhashed.txt", source="index")
    calls = [line for line in output.splitlines() if " install " in line]
    assert ["unhashed" in call for call in calls] == [True, False, False]
    assert ["--require-hashes" in call for call in calls] == [False, True, False]
    assert "--no-index" not in output


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"pip": "echo 'no such release' >&2; exit 1"}, "no such release"),
        ({"pip": "head -c 2000000 /dev/zero >$(dirname $0)/library"}, ""),  # the disk is full
        ({"agent": "echo 'edgeaudio: no TFLite runtime' >&2; exit 2"}, "edgeaudio: no TFLite runtime"),
    ],
)
def test_of_a_version_that_cannot_be_whole_nothing_is_left(tmp_path: Path, wrong: dict[str, str], why: str) -> None:
    output = install(tmp_path, **wrong)
    assert "done" not in output
    assert why in output
    assert "\nedgeaudio/" not in output
