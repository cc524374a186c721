"""The role of deploy/ansible/: its style, its words for bad input, and what its templates write.

What it does to devices is tried on machines that boot (__main__.py).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.programs import missing

ANSIBLE = Path(__file__).parents[2] / "deploy" / "ansible"
ROLE = ANSIBLE / "roles" / "edgeaudio"
GOOD: dict[str, Any] = {"edgeaudio_device": "porch", "edgeaudio_version": "1.2.3"}


def run(tmp_path: Path, program: str, *words: str) -> tuple[int, str]:
    """Run a program of the extra `fleet` in deploy/ansible/; returns exit status and output in one line."""
    path = Path(sys.executable).with_name(program)
    if not path.exists():
        missing(f"{program} (pip install 'edgeaudio[fleet]')")
    environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}
    environment["PATH"] = f"{path.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(path), *words],
        cwd=ANSIBLE,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


def roll_out(tmp_path: Path, **hosts: dict[str, Any]) -> tuple[int, str]:
    """Roll out to this machine, in check mode: what is wrong is found before anything is touched."""
    inventory = tmp_path / "inventory.json"
    own = {"ansible_connection": "local", "ansible_become": False}
    variables = {name: {**own, **values} for name, values in hosts.items()}
    inventory.write_text(json.dumps({"edgeaudio": {"hosts": variables}}))
    return run(tmp_path, "ansible-playbook", "--check", "--inventory", str(inventory), "site.yml")


def test_the_production_profile_of_ansible_lint_holds(tmp_path: Path) -> None:
    status, output = run(tmp_path, "ansible-lint", "--offline", "--profile", "production")
    assert status == 0, output


def test_the_example_inventory_is_understood(tmp_path: Path) -> None:
    status, output = run(tmp_path, "ansible-playbook", "--syntax-check", "site.yml")
    assert status == 0, output
    status, output = run(tmp_path, "ansible-inventory", "--list")
    assert status == 0, output
    assert set(json.loads(output)["edgeaudio"]["hosts"]) == {"pi-garage", "pi-porch"}


def test_two_hosts_of_one_name_are_refused_before_any_is_asked(tmp_path: Path) -> None:
    status, output = roll_out(tmp_path, one=GOOD, two=GOOD)
    assert status != 0
    assert "each host another: porch is one, porch is two" in output
    assert "Ask each device" not in output


@pytest.mark.parametrize("device", [None, ""])
def test_a_host_without_a_name_is_refused_before_any_is_asked(tmp_path: Path, device: str | None) -> None:
    named = {} if device is None else {"edgeaudio_device": device}
    status, output = roll_out(tmp_path, one=GOOD, two={"edgeaudio_version": "1.2.3", **named})
    assert status != 0
    assert "must be said for each host" in output
    assert "Ask each device" not in output


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"edgeaudio_version": None}, "edgeaudio_version"),
        ({"edgeaudio_confirm_s": "soon"}, "edgeaudio_confirm_s"),
        ({"edgeaudio_source": "floppy"}, "value of edgeaudio_source must be one of: checkout, index, wheels"),
        ({"edgeaudio_models": [{"name": "home"}]}, "missing required arguments: sha256, src"),
        ({"edgeaudio_device": "Porch!"}, 'must be 1 to 64 of a-z, 0-9 and hyphens, is "Porch!"'),
        ({"edgeaudio_version": "../up"}, 'must be a version such as 1.2.3, is "../up"'),
        ({"edgeaudio_python": "python3.6"}, "no TFLite runtime serves"),
        ({"edgeaudio_space_mb": 10**9}, "make room"),
        ({"edgeaudio_source": "wheels", "edgeaudio_wheels": "/no/such"}, 'there is no folder "/no/such"'),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(tmp_path: Path, wrong: dict[str, Any], why: str) -> None:
    values = {"edgeaudio_python": "python3.11", **GOOD, **wrong}
    status, output = roll_out(tmp_path, one={name: value for name, value in values.items() if value is not None})
    assert status != 0
    assert why in output
    assert "TASK [edgeaudio : Make a place" not in output
    assert "changed=0" in output


def test_every_default_is_specified() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML (pip install 'edgeaudio[fleet]')")
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert set(options) == set(defaults) | {"edgeaudio_device", "edgeaudio_version"}
    for name, option in options.items():
        if "default" in option:
            assert option["default"] == defaults[name], name
        assert option.get("required", False) == (name not in defaults)


def test_the_settings_begin_with_the_device_s_name() -> None:
    jinja2 = pytest.importorskip("jinja2", reason="needs Jinja (pip install 'edgeaudio[fleet]')")
    template = jinja2.Template((ROLE / "templates" / "edgeaudio.toml.j2").read_text())
    text = template.render(edgeaudio_device="porch", edgeaudio_settings='[mqtt]\nurl = "mqtt://192.0.2.1"\n')
    assert tomllib.loads(text) == {"device": "porch", "mqtt": {"url": "mqtt://192.0.2.1"}}
