"""Programs that a test needs and a machine may lack.

If one is missing, the test is skipped with the name of Debian's package, and the end of the run lists them in one line
(conftest.py). Under TESTS_MUST_NOT_SKIP=1, where the programs were installed on purpose, the test fails instead.
"""

import functools
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
# options of unshare: what root may do anyway, others may in a user namespace, where the kernel lets them make one
AS_ROOT = () if os.geteuid() == 0 else ("--map-root-user",)
# where the package has another name than the program
PACKAGES = {
    "apparmor_parser": "apparmor",
    "gcc": "gcc libc6-dev libasound2-dev libasound2-data",
    "groff": "groff-base",
    "gstreamer": "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav",
    "ip": "iproute2",
    "mosquitto_passwd": "mosquitto",
    "nginx-rtmp": "nginx libnginx-mod-rtmp",
    "nft": "nftables",
    "node": "nodejs",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "munged": "munge",
    "promtool": "prometheus",
    "sbatch": "slurm-client",
    "systemd-analyze": "systemd",
    "unshare": "util-linux",
}


def missing(what: str) -> NoReturn:
    """Skip the test because `what` is missing, or fail where nothing may be skipped."""
    if os.environ.get("TESTS_MUST_NOT_SKIP") == "1":
        pytest.fail(f"{what} is missing, and TESTS_MUST_NOT_SKIP forbids skipping")
    pytest.skip(f"needs {what}")


def left_out(reasons: Counter[str]) -> str:
    """Return a line with the number of skipped tests, the reasons, and the packages to install; empty if none was."""
    if not reasons:
        return ""
    packages = sorted({package for reason in reasons for package in _packages_for(reason)})
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    wants = [f"{reason.partition(' (Debian: ')[0]} ({count})" for reason, count in ranked]
    bring = f"; to run more of them: apt-get install {' '.join(packages)}" if packages else ""
    return f"left out: {sum(reasons.values())} tests: {', '.join(wants)}{bring}"


def _packages_for(reason: str) -> list[str]:
    named = re.search(r"\(Debian: ([^)]*)\)", reason)
    return named[1].split() if named else []


def require_program(name: str) -> str:
    """Return the path of a program; Debian has servers outside of users' search paths."""
    return _path(name) or missing(f"the program {name} (Debian: {PACKAGES.get(name, name)})")


def has_program(name: str) -> bool:
    """True if the program is installed; "gstreamer" is its RTSP server, "nginx-rtmp" nginx with its RTMP module."""
    if name == "nginx-rtmp":
        return RTMP_MODULE.exists() and _path("nginx") is not None
    return _has_gstreamer() if name == "gstreamer" else _path(name) is not None


def lacking(names: Iterable[str]) -> list[str]:
    """Return those of the programs that are not installed."""
    return [name for name in names if not has_program(name)]


def require_gstreamer() -> None:
    """Skip the test without GStreamer's RTSP server for the system's Python."""
    if not _has_gstreamer():
        missing(f"GStreamer's RTSP server (Debian: {PACKAGES['gstreamer']})")


def require_rtmp_module() -> None:
    """Skip the test without nginx and its RTMP module."""
    if not has_program("nginx-rtmp"):
        missing(f"nginx with its RTMP module (Debian: {PACKAGES['nginx-rtmp']})")


def with_mounts(script: str) -> list[str]:
    """Return a command prefix: it runs a shell script in a mount namespace of its own before the command."""
    prefix = [require_program("unshare"), "--mount", *AS_ROOT, "sh", "-ec"]
    if subprocess.run([*prefix, script], capture_output=True, timeout=10, check=False).returncode:
        missing("the right to make mount namespaces")
    return [*prefix, f'{script}\nexec "$@"', "sh"]


def _path(name: str) -> str | None:
    postgresql = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), key=len)  # one of each version
    return shutil.which(name) or shutil.which(
        name, path=":".join(["/usr/sbin", "/usr/local/sbin", "/sbin", *postgresql])
    )


@functools.cache
def _has_gstreamer() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, timeout=60, check=False).returncode == 0
