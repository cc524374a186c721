"""`edgeaudio config migrate`: names change, nothing else does."""

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio import cli, schema_versions, toml_writer
from edgeaudio.commands import config
from edgeaudio.commands.config import UnclearKeyError, migrated
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.schema_versions import Rename, Schema, SchemaError, rename_keys

SCHEMA = Schema(1, (Rename(("mqtt", "topic"), "base_topic"), Rename(("sources", "*", "pauses"), "dtx")))
OLD = """\
# topic = "not this one", nor mqtt.topic
device = "topic = 1"  # topic
[mqtt]   # the broker
url = "mqtt://b/topic"

  "topic"="home/topic"\t# where
[sources.topic]
url = 'alsa:pauses'
pauses = true
[sources]
b.pauses = false
c = {url = "x", pauses=true}
"""


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["config", "migrate", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_keys_are_renamed_where_they_stand() -> None:
    text, changes = migrated(OLD, SCHEMA)
    assert text == "schema_version = 1\n" + OLD.replace('"topic"=', "base_topic=").replace(
        "\npauses = true", "\ndtx = true"
    ).replace("b.pauses", "b.dtx").replace(", pauses=true", ", dtx=true")
    assert changes == [
        "mqtt.topic is base_topic now",
        "sources.topic.pauses is dtx now",
        "sources.b.pauses is dtx now",
        "sources.c.pauses is dtx now",
        "schema_version is 1",
    ]
    assert migrated(text, SCHEMA) == (text, [])


def test_what_cannot_be_told_apart_is_left_to_people() -> None:
    schema = Schema(1, (Rename(("broker",), "mqtt"),))
    with pytest.raises(UnclearKeyError, match=r"^write mqtt for broker by hand$"):
        migrated("[broker]\nurl = 1\n[broker.tls]\nca = 2\n", schema)


def test_a_key_among_very_many_places_is_left_to_people() -> None:
    text = 'notes = """\n' + "broker = 1\n" * 5000 + '"""\n[broker]\n'
    schema = Schema(1, (Rename(("broker",), "mqtt"),))
    with pytest.raises(UnclearKeyError):
        migrated(text, schema)


def test_a_manifest_of_an_earlier_version_is_rewritten(model: str, capsys) -> None:
    manifest = Path(model) / "model.toml"
    text = manifest.read_text().replace("schema_version = 1\n", "# ours\r\nlicence = 'CC0-1.0'\r\n")
    manifest.write_text(text, newline="")
    manifest.chmod(0o640)
    assert run(capsys, model) == (
        0,
        f"{manifest}: licence is license now\n{manifest}: schema_version is 1\n",
        "",
    )
    assert manifest.read_bytes().decode() == "schema_version = 1\r\n" + text.replace("licence", "license")
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o640
    assert read_manifest(manifest).license == "CC0-1.0"
    assert run(capsys, model) == (0, f"{manifest}: is up to date\n", "")


def test_the_settings_file_is_the_one_that_run_would_read(tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "edgeaudio.toml"
    file.write_text("device = 'x'\n")
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    monkeypatch.setenv("EDGEAUDIO_CONFIG", str(link))
    assert run(capsys) == (0, f"{link}: schema_version is 1\n", "")
    assert link.is_symlink()
    assert file.read_text() == "schema_version = 1\ndevice = 'x'\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a = ", "FILE: is not TOML: Invalid value (at its end)"),
        (b"\xff", "FILE: is not UTF-8 text (byte 0)"),
        (b"a = " + b"[" * 5000, "FILE: is not TOML: "),
        (b"schema_version = 9", "FILE: schema_version: is 9, and this edgeaudio reads up to 1: upgrade edgeaudio"),
        (b"#" * 2_000_001, "FILE: is larger than 2000000 bytes, so it is neither settings nor a manifest"),
        (b"schema_version = 0", "FILE: schema_version: must be a whole number from 1 to 1, without quotes"),
        (b"schema_version = '1'", "FILE: schema_version: must be a whole number from 1 to 1, without quotes"),
        (b"[tool.x]\n[project]", "FILE: project: is a key of neither settings nor manifests, nor is any other; name "),
        (b"['me:hunter2@cam']\n" * 2, "FILE: is not TOML: Cannot declare ('***',) twice (line 2, column 18)"),
        (b"a." * 100_000 + b"a = 1", "FILE: is not TOML: nested too deep (line 1, column 1)"),
        (None, "FILE: cannot be rewritten: No such file or directory"),
    ],
)
def test_what_cannot_be_rewritten_is_left_alone(content: bytes | None, expected: str, tmp_path: Path, capsys) -> None:
    file = tmp_path / "edgeaudio.toml"
    if content is not None:
        file.write_bytes(content)
    status, out, err = run(capsys, str(file))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.replace(str(file), "FILE").removeprefix("edgeaudio: ").startswith(expected)
    assert content is None or file.read_bytes() == content


def test_other_files_and_closed_folders_are_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert run(capsys, str(tmp_path / "pipe"))[2].endswith("pipe: cannot be rewritten: it is no regular file\n")
    file = tmp_path / "edgeaudio.toml"
    file.write_text("device = 'x'\n")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run(capsys, str(file))[2] == f"edgeaudio: {file}: cannot be rewritten: No space left on device\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edgeaudio.toml", "pipe"]
    assert file.read_text() == "device = 'x'\n"


@pytest.mark.parametrize("name", ["a" * 300, "a\nb"])
def test_the_name_of_no_file_is_one_line(name: str, tmp_path: Path, capsys) -> None:
    status, out, err = run(capsys, str(tmp_path / name))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert ": cannot be rewritten: " in err


def test_a_manifest_is_known_by_its_keys(tmp_path: Path, capsys) -> None:
    file = tmp_path / "birds.toml"
    file.write_bytes(b"\xef\xbb\xbfname = 'birds'\nlicence = 'MIT'\n")
    assert run(capsys, str(file))[0] == 0
    assert file.read_bytes() == b"\xef\xbb\xbfschema_version = 1\nname = 'birds'\nlicense = 'MIT'\n"


def test_an_interrupted_rewriting_leaves_nothing_behind(tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "edgeaudio.toml"
    file.write_text("device = 'x'\n")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    assert run(capsys, str(file))[0] == 130
    assert [path.name for path in tmp_path.iterdir()] == ["edgeaudio.toml"]
    assert file.read_text() == "device = 'x'\n"


def test_a_file_that_a_container_mounts_has_a_hint(tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "edgeaudio.toml"
    file.write_text("device = 'x'\n")

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    assert run(capsys, str(file))[2].endswith("busy; it is mounted by itself, so migrate it outside of the container\n")


def test_without_a_file_it_says_which_to_name(monkeypatch, capsys) -> None:
    monkeypatch.setattr(config, "config_path", lambda _: None)
    assert run(capsys) == (2, "", "edgeaudio: config: there is no settings file; name one, or a model's directory\n")


NAMES = st.sampled_from(["mqtt", "topic", "sources", "pauses", "a b", "dtx2", "*"])
VALUES = st.recursive(
    st.booleans() | st.integers() | st.sampled_from(["topic = 1", "[mqtt]", "pauses", '"', "'''", "\n"]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_table_is_renamed_or_refused(table: dict[str, object]) -> None:
    text = toml_writer.dumps(table)
    try:
        rewritten, _ = migrated(text, SCHEMA)
    except (SchemaError, UnclearKeyError):
        return
    wanted, _ = rename_keys(table, SCHEMA)
    assert tomllib.loads(rewritten) == {schema_versions.KEY: 1, **wanted}
