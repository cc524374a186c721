"""What is built, and what counts as right; whether it is, `make test-deb` tells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deb import __main__ as deb

FOLDER = Path(__file__).parents[2] / "deploy" / "debian"
RIGHT = {
    "machine": "bookworm",
    "package_mb": 60.0,
    "installed_mb": 200.0,
    "exposure": 1.2,
    "hears": "right",
    "upgrade": "right",
    "a_stopped_agent_stays_so": "right",
    "to_next_release": "",
    "remove": "right",
    "purge_leaves": "nothing",
    "install_s": 3.0,
}


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({}, True),
        ({"exposure": 2.1}, False),
        ({"hears": "not heard within 90 s"}, False),
        ({"upgrade": "not heard within 90 s"}, False),
        ({"a_stopped_agent_stays_so": "active"}, False),
        ({"to_next_release": "right"}, True),
        ({"to_next_release": "not heard within 90 s"}, False),
        ({"remove": "the agent runs on"}, False),
        ({"purge_leaves": "/var/lib/private/edgeaudio"}, False),
    ],
)
def test_a_machine_is_right_where_all_is(changes: dict[str, object], right: bool) -> None:
    row = deb.Row(**{**RIGHT, **changes})  # type: ignore[arg-type]  # values of many types
    assert row.right is right


def test_the_next_version_is_one_further() -> None:
    assert deb.next_version('"""x"""\n\n__version__ = "0.1.9"\n') == '"""x"""\n\n__version__ = "0.1.10"\n'


def test_a_package_says_its_version() -> None:
    assert deb.version_of(Path("/x/edgeaudio_0.1.0-1~debian12_amd64.deb")) == "0.1.0"


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_dpkg_s_scripts_are_sound(name: str) -> None:
    script = FOLDER / name
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert re.match(r"#!/bin/sh\n# .+\nset -e\n", script.read_text())
