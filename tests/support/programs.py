"""Programs that a test needs and a machine may lack.

Where one is missing the test is skipped with the reason, except under TESTS_MUST_NOT_SKIP=1 (set
where the programs were installed on purpose): there the want of one is a failure.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"


def missing(what: str) -> NoReturn:
    """Skip the test for want of `what`, or fail where nothing may be skipped."""
    if os.environ.get("TESTS_MUST_NOT_SKIP") == "1":
        pytest.fail(f"{what} is missing, and TESTS_MUST_NOT_SKIP forbids skipping")
    pytest.skip(f"{what} is not installed")


def require_program(name: str) -> str:
    """Path of the program `name`; Debian keeps servers outside of users' search paths."""
    return _path(name) or missing(f"the program {name}")


def lacking(names: Iterable[str]) -> list[str]:
    """Those of the programs that are not installed; "gstreamer" is GStreamer's RTSP server."""
    return [name for name in names if not (_has_gstreamer() if name == "gstreamer" else _path(name))]


def require_gstreamer() -> None:
    """GStreamer's RTSP server, driven from the system's Python."""
    if not _has_gstreamer():
        missing("GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0, python3-gi)")


def _path(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


@functools.cache
def _has_gstreamer() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, timeout=60, check=False).returncode == 0
