"""What a bare machine is told of this one's network, and what is taken from a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fresh import __main__ as fresh
from fresh.machines import settle_in


def test_pip_s_settings_and_what_they_name_are_carried_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    settings = home / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    for name in ("ca.pem", "more.pem", "constraints.txt"):
        (tmp_path / name).write_text(name)
    settings.write_text(f"[global]\ncert = {tmp_path}/more.pem\nconstraint={tmp_path}/constraints.txt\n")
    environment = {"PIP_CERT": str(tmp_path / "ca.pem"), "https_proxy": "http://127.0.0.1:1", "SECRET": "no"}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(Path, "home", lambda: home)
    root = tmp_path / "root"
    told = settle_in(root)
    assert told == {
        "HOME": "/root",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PIP_CERT": f"{tmp_path}/ca.pem",
        "https_proxy": "http://127.0.0.1:1",
    }
    for file in (settings, *(tmp_path / name for name in ("ca.pem", "more.pem", "constraints.txt"))):
        assert (root / file.relative_to("/")).read_text() == file.read_text()


def row(**changes: object) -> fresh.Row:
    values = {
        "machine": "x",
        "Python": "3",
        "demo": "right",
        "test": "right",
        "passed": 1,
        "skipped": 0,
        "tried": "now",
    }
    return fresh.Row(**{**values, "demo_with_installing_s": 1.0, "test_with_installing_s": 1.0, **changes})  # type: ignore[arg-type]  # values of many types


@pytest.mark.parametrize(
    ("changes", "right"),
    [({}, True), ({"demo": "exit status 2"}, False), ({"test": "exit status 2"}, False), ({"passed": 0}, False)],
)
def test_a_machine_is_right_where_both_commands_are(changes: dict[str, object], right: bool) -> None:
    assert row(**changes).right is right


def test_each_machine_has_the_row_of_its_last_run_and_none_if_that_was_not_right() -> None:
    def machines(document: str) -> list[str]:
        return [line for line in document.splitlines() if line.startswith(("| bookworm", "| trixie", "| forky"))]

    document = "before\n<!-- measured: fresh -->\n<!-- /measured -->\nafter\n"
    for name in ("trixie", "bookworm"):
        document = fresh.tell(document, row(machine=name, passed=7))
    assert document.startswith("before\n")
    assert document.endswith("after\n")
    assert [line[:11] for line in machines(document)] == ["| bookworm ", "| trixie | "]
    document = fresh.tell(document, row(machine="bookworm", passed=8))
    assert [" 8 " in line for line in machines(document)] == [True, False]
    assert len(machines(fresh.tell(document, row(machine="trixie", test="exit status 2")))) == 1
