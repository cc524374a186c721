"""The role of deploy/ansible/: its style, its words for bad input, and what its templates write.

What it does to devices is tried on machines that boot (__main__.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
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
        missing(f"{program} (pip install '.[fleet]')")
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


def roll_out(tmp_path: Path, *words: str, **hosts: dict[str, Any]) -> tuple[int, str]:
    """Roll out to this machine, in check mode: what is wrong is found before anything is touched."""
    inventory = tmp_path / "inventory.json"
    own = {"ansible_connection": "local", "ansible_become": False}
    variables = {name: {**own, **values} for name, values in hosts.items()}
    inventory.write_text(json.dumps({"edgeaudio": {"hosts": variables}}))
    return run(tmp_path, "ansible-playbook", "--check", "--inventory", str(inventory), "site.yml", *words)


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_other_host_of_a_name_is_told_where_one_is_asked_for(tmp_path: Path) -> None:
    three = {"edgeaudio_device": "garage"}
    status, output = roll_out(tmp_path, "--limit", "one", one=GOOD, two=GOOD, three=three)
    assert status != 0
    assert 'each host another: porch is one, porch is two"' in output


@pytest.mark.parametrize("device", [None, ""])
@pytest.mark.slow
def test_a_host_without_a_name_is_refused_before_any_is_asked(tmp_path: Path, device: str | None) -> None:
    named = {} if device is None else {"edgeaudio_device": device}
    status, output = roll_out(tmp_path, one=GOOD, two={"edgeaudio_version": "1.2.3", **named})
    assert status != 0
    assert "must be said for each host" in output
    assert "Ask each device" not in output


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"edgeaudio_models": [{"name": "home"}]}, "missing required arguments: sha256, src"),
        ({"edgeaudio_version": "../up"}, 'must be a version such as 1.2.3, is "../up"'),
        *(
            pytest.param(*each, marks=pytest.mark.slow)  # each is a run of Ansible
            for each in [
                ({"edgeaudio_version": None}, "edgeaudio_version"),
                ({"edgeaudio_confirm_s": "soon"}, "edgeaudio_confirm_s"),
                ({"edgeaudio_source": "floppy"}, "value of edgeaudio_source must be one of: checkout, index, wheels"),
                ({"edgeaudio_device": "Porch!"}, 'must be 1 to 64 of a-z, 0-9 and hyphens, is "Porch!"'),
                ({"edgeaudio_python": "python3.6"}, "no TFLite runtime serves"),
                ({"edgeaudio_space_mb": 10**9}, "make room"),
                ({"edgeaudio_source": "wheels", "edgeaudio_wheels": "/no/such"}, 'there is no folder "/no/such"'),
            ]
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(tmp_path: Path, wrong: dict[str, Any], why: str) -> None:
    values = {"edgeaudio_python": "python3.11", **GOOD, **wrong}
    status, output = roll_out(tmp_path, one={name: value for name, value in values.items() if value is not None})
    assert status != 0
    assert why in output
    assert "TASK [edgeaudio : Make a place" not in output
    assert "changed=0" in output


@pytest.mark.slow
def test_the_clock_is_right_whatever_the_time_zone_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    wrong = {"edgeaudio_python": "python3.11", "edgeaudio_source": "wheels", "edgeaudio_wheels": "/no/such"}
    status, output = roll_out(tmp_path, one={**GOOD, **wrong})
    assert status != 0
    assert "there is no folder" in output
    assert "the clock is" not in output


@pytest.mark.slow
def test_a_clock_that_is_off_is_refused(tmp_path: Path) -> None:
    status, output = roll_out(tmp_path, one={**GOOD, "edgeaudio_python": "python3.11", "edgeaudio_clock_s": -1})
    assert status != 0
    assert "-1 may be: see to its time server" in output


@pytest.mark.slow
def test_where_no_device_answers_the_play_fails(tmp_path: Path) -> None:
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    status, output = roll_out(tmp_path, one={**GOOD, **away})
    assert status != 0
    assert "no device answers" in output
    assert "away, and left as they are: one;" in output


@pytest.mark.slow
def test_the_settings_of_a_version_that_is_not_on_the_device_are_refused(tmp_path: Path) -> None:
    status, output = roll_out(tmp_path, "--tags", "configure", one={**GOOD, "edgeaudio_python": "python3.11"})
    assert status != 0
    assert "version 1.2.3 is not on the device: run this without --tags" in output


@pytest.mark.parametrize(
    ("lacks", "why"),
    [
        ("model.toml", "model.toml is no file"),
        ("model.tflite", "has the sha256 of no file"),  # and the manifest is not what a fused model's would have
    ],
)
@pytest.mark.slow
def test_a_model_that_is_not_whole_is_refused_before_anything_is_touched(tmp_path: Path, lacks: str, why: str) -> None:
    folder = tmp_path / "jetty"
    folder.mkdir()
    for name in {"model.tflite", "model.toml"} - {lacks}:
        (folder / name).write_text(f"a {name}")
    sha256 = hashlib.sha256(b"a model.tflite").hexdigest()
    model = {"name": "jetty", "src": str(folder), "sha256": sha256}
    wheels = {"edgeaudio_source": "wheels", "edgeaudio_wheels": str(tmp_path)}
    values = {**GOOD, **wheels, "edgeaudio_python": "python3.11", "edgeaudio_models": [model]}
    status, output = roll_out(tmp_path, one=values)
    assert status != 0
    assert why in output
    assert "changed=0" in output


def yaml_of(file: Path) -> Any:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML (pip install '.[fleet]')")
    return yaml.safe_load(file.read_text())


def tasks_of(file: str, *names: str) -> list[dict[str, Any]]:
    """Return tasks of the role by their names, those of blocks too, without what needs root."""
    listed = yaml_of(ROLE / "tasks" / file)
    found = {task["name"]: task for each in listed for task in [each, *each.get("block", [])]}
    for task in map(found.__getitem__, names):
        for key in ("owner", "group"):
            for module in ("copy", "file"):
                task.get(f"ansible.builtin.{module}", {}).pop(key, None)
    return [found[name] for name in names]


def push(tmp_path: Path, *models: dict[str, str]) -> tuple[int, str]:
    """Run what the role does with models, with `tmp_path/release` for the release."""
    of_role = yaml_of(ROLE / "vars" / "main.yml")
    variables = {
        **{name: value for name, value in of_role.items() if name.startswith(("edgeaudio_model_", "edgeaudio_named_"))},
        "edgeaudio_device": "porch",
        "edgeaudio_version": "1.2.3",
        "edgeaudio_settings": "",
        "edgeaudio_credentials": {},
        "edgeaudio_sound_card": False,
        "edgeaudio_models": models,
        "edgeaudio_deploy": str(ANSIBLE.parent),
        "edgeaudio_release_folder": str(tmp_path / "release"),
        "edgeaudio_salt": {"content": "c2FsdA=="},
    }
    tasks = [
        *tasks_of(
            "preflight.yml",
            "Read the models' hashes",
            "Refuse another model than that which is meant",
            "Read the hashes of what else the models consist of",
        ),
        *tasks_of(
            "release.yml",
            "Name the release",
            "Make the release's folders",
            "Push its models",
            "Push what else they consist of",
        ),
    ]
    (tmp_path / "templates").mkdir(exist_ok=True)
    shutil.copy(ROLE / "templates" / "edgeaudio.toml.j2", tmp_path / "templates")
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": tasks}
    (tmp_path / "play.json").write_text(json.dumps([play]))
    return run(tmp_path, "ansible-playbook", str(tmp_path / "play.json"))


def test_a_fused_model_is_pushed_with_its_members(tmp_path: Path) -> None:
    folders, release = tmp_path / "of the operator", tmp_path / "release" / "models"
    read = {
        "home-plus/model.toml": '[[fuse]]\nmodel = "home"\n[[fuse]]\nmodel = "yamnet"\n',
        "home-plus/home/model.toml": "[input]\nfrontend = 'bands.tflite'\n",
        "home-plus/home/model.tflite": "home",
        "home-plus/home/bands.tflite": "what makes home's features",
        "yamnet/model.toml": 'input.frontend = "mel.tflite"\n',
        "yamnet/model.tflite": "yamnet",
        "yamnet/mel.tflite": "what makes yamnet's features",
    }
    unread = ("home-plus/README.md", "home-plus/home/README.md", "home-plus/old/model.toml", "yamnet/float.tflite")
    for name, text in {**read, **dict.fromkeys(unread, "")}.items():
        (folders / name).parent.mkdir(parents=True, exist_ok=True)
        (folders / name).write_text(text)
    hashed = {"home-plus": read["home-plus/model.toml"], "yamnet": read["yamnet/model.tflite"]}
    models = [
        {"name": name, "src": str(folders / name), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in hashed.items()
    ]
    status, output = push(tmp_path, *models)
    assert status == 0, output
    assert {str(p.relative_to(release)): p.read_text() for p in release.rglob("*") if p.is_file()} == read


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of version 1.2.3, all committed but the inventory."""
    folder = tmp_path / "a checkout"
    for name in (
        "edgeaudio/version.py",
        "models/home/model.toml",
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('__version__ = "1.2.3"\n')
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *words], check=True)
    (folder / "inventory.yml").write_text("of the operator's own\n")
    return folder


def of_checkout(tmp_path: Path, checkout: Path, **values: Any) -> tuple[int, str]:
    own = {"edgeaudio_checkout": str(checkout), "edgeaudio_python": "python3.11", "edgeaudio_clock_s": -1}
    return roll_out(tmp_path, one={**GOOD, **own, **values})


@pytest.mark.slow
def test_of_a_checkout_only_what_goes_into_the_version_must_be_committed(tmp_path: Path, checkout: Path) -> None:
    assert "edgeaudio_checkout:" not in of_checkout(tmp_path, checkout)[1]
    (checkout / "edgeaudio" / "version.py").write_text('__version__ = "1.2.4"\n')
    (checkout / "models" / "mine").mkdir()
    (checkout / "models" / "mine" / "model.tflite").write_text("")
    status, output = of_checkout(tmp_path, checkout)
    assert status != 0
    assert "these are not: edgeaudio/version.py, models/mine/; commit them" in output


@pytest.mark.slow
def test_a_checkout_of_another_version_or_none_is_refused(tmp_path: Path, checkout: Path) -> None:
    assert 'is not what the checkout is: __version__ = "1.2.3"' in (
        of_checkout(tmp_path, checkout, edgeaudio_version="1.2")[1].replace("\\", "")
    )
    status, output = of_checkout(tmp_path, tmp_path)
    assert status != 0
    assert "edgeaudio_checkout: fatal: not a git repository" in output


SWITCH = """\
#!/bin/sh
echo "$DEVICE $*" >>{calls}
case "$DEVICE $1" in
"refuses switch") echo "edgeaudio-switch: mqtt.url: must be set" >&2; exit 2 ;;
"deaf verify") echo "edgeaudio-switch: not heard as before: porch (waiting)" >&2; exit 1 ;;
*" status") echo '{{"current": "old", "previous": null, "pending": null, "last": null, "returned": false}}' ;;
esac
"""
PLAY = """\
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  vars: {{edgeaudio_release: new, edgeaudio_returns: false, edgeaudio_confirm_s: 180}}
  environment:
    DEVICE: "{{{{ inventory_hostname }}}}"
    PATH: "{folder}:{{{{ lookup('env', 'PATH') }}}}"
  tasks:
    - ansible.builtin.include_role: {{name: edgeaudio, tasks_from: switch.yml}}
"""


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(
            "refuses", "new is refused, the device keeps what it had: mqtt.url: must be set", marks=pytest.mark.slow
        ),
        (
            "deaf",
            "new is not confirmed, the device returns to the release before: not heard as before: porch (waiting)",
        ),
    ],
)
def test_one_bad_device_of_a_batch_fails_the_play_and_keeps_no_other_from_being_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, why: str
) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "edgeaudio-switch").write_text(SWITCH.format(calls=calls))
    (tmp_path / "edgeaudio-switch").chmod(0o755)
    (tmp_path / "play.yml").write_text(PLAY.format(folder=tmp_path))
    hosts = {name: {"ansible_connection": "local"} for name in ("good", bad, "fine")}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", str(ANSIBLE / "roles"))
    inventory = ["--inventory", str(tmp_path / "inventory.json")]
    status, output = run(tmp_path, "ansible-playbook", "--forks", "2", *inventory, str(tmp_path / "play.yml"))
    assert status != 0
    assert why in output
    asked = calls.read_text().splitlines()
    # three devices in two rounds: the last is verified a minute later
    assert "good switch new --limit 300" in asked
    assert {"good confirm", "fine confirm"} <= set(asked)
    assert f"{bad} confirm" not in asked
    assert not any(" prune" in words for words in asked)


def test_every_default_is_specified() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML (pip install '.[fleet]')")
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert set(options) == set(defaults) | {"edgeaudio_device", "edgeaudio_version"}
    for name, option in options.items():
        if "default" in option:
            assert option["default"] == defaults[name], name
        assert option.get("required", False) == (name not in defaults)


def test_the_settings_begin_with_the_device_s_name() -> None:
    jinja2 = pytest.importorskip("jinja2", reason="needs Jinja (pip install '.[fleet]')")
    template = jinja2.Template((ROLE / "templates" / "edgeaudio.toml.j2").read_text())
    text = template.render(edgeaudio_device="porch", edgeaudio_settings='[mqtt]\nurl = "mqtt://192.0.2.1"\n')
    assert tomllib.loads(text) == {"device": "porch", "mqtt": {"url": "mqtt://192.0.2.1"}}
