"""What is built, and what counts as right; whether it is, `make test-deb` tells."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
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


@pytest.fixture
def configure(tmp_path: Path) -> Callable[[], str]:
    """Run `postinst configure` in a root of its own, beside a systemd of its own; returns what systemd is told."""
    release = tmp_path / "etc" / "edgeaudio" / "releases" / "debian"
    programs = {
        release / "venv" / "bin" / "edgeaudio": "echo '# example' ${2#--}",
        tmp_path / "bin" / "systemctl": f'echo "$@" >>{tmp_path}/told\n[ "$1" != show ] || cat {tmp_path}/load-state',
    }
    for program, text in programs.items():
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    (tmp_path / "run" / "systemd" / "system").mkdir(parents=True)
    (tmp_path / "load-state").write_text("loaded\n")
    script = (FOLDER / "postinst").read_text().replace("/etc/", f"{tmp_path}/etc/").replace("/run/", f"{tmp_path}/run/")

    def run() -> str:
        command = ["sh", "-c", f"umask 077\n{script}", "postinst", "configure", "0.1.0"]
        environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return (tmp_path / "told").read_text()

    return run


def test_settings_are_begun_once_for_all_to_read_and_kept(configure: Callable[[], str], tmp_path: Path) -> None:
    told = configure()
    settings = tmp_path / "etc" / "edgeaudio" / "current" / "edgeaudio.toml"
    assert settings.read_text() == "# example example\n"
    assert settings.stat().st_mode & 0o777 == 0o644
    assert told.endswith("try-restart edgeaudio.service\n")
    settings.write_text("device = 'porch'")
    configure()
    assert settings.read_text() == "device = 'porch'"
    assert sorted(path.name for path in settings.parent.resolve().iterdir()) == ["edgeaudio.toml", "venv"]


def test_another_release_stays_current(configure: Callable[[], str], tmp_path: Path) -> None:
    current = tmp_path / "etc" / "edgeaudio" / "current"
    current.mkdir()
    (current / "edgeaudio.toml").touch()
    configure()
    assert [path.name for path in current.iterdir()] == ["edgeaudio.toml"]


def test_a_masked_unit_is_left_alone(configure: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / "load-state").write_text("masked\n")
    assert "try-restart" not in configure()


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_dpkg_s_scripts_are_sound(name: str) -> None:
    script = FOLDER / name
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert re.match(r"#!/bin/sh\n# .+\nset -e\n", script.read_text())
