"""Settings are read again once for each change of what they are made of, and not while it is being written."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.loading import load

from edgeaudio.agent.settings_watch import SettingsWatch
from edgeaudio.settings.fingerprint import fingerprint


def test_a_change_is_read_once_it_is_the_same_at_two_looks() -> None:
    content = ["a"]
    watch = SettingsWatch(lambda: content[0])
    looks = [watch.is_due(10, now_s) for now_s in (0, 5, 10, 20)]
    assert looks == [False, False, True, False]  # it may have changed since the start
    content[0] = "b, half"
    assert not watch.is_due(10, 30)
    content[0] = "b"
    assert [watch.is_due(10, now_s) for now_s in (40, 50, 60)] == [False, True, False]


def test_nobody_looks_unless_the_settings_ask_for_it() -> None:
    watch = SettingsWatch(lambda: pytest.fail("looked"))
    assert not watch.is_due(None, 0)


def test_everything_that_a_reload_reads_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, secret, credentials = tmp_path / "edgeaudio.toml", tmp_path / "secret", tmp_path / "credentials"
    credentials.mkdir()
    secret.write_text("one\n")
    file.write_text('[sources.porch]\nurl = "rtsp://10.0.0.1/x"\nusername = "me"\npassword_file = "secret"\n')
    settings = load(file, (), {})
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    seen = [fingerprint(file, settings)]

    def is_other() -> bool:
        seen.append(fingerprint(file, settings))
        return seen[-1] not in seen[:-1]

    file.touch()
    assert not is_other()
    secret.write_text("two\n")
    assert is_other()
    (credentials / "mqtt.password").write_text("three")
    assert is_other()
    (credentials / "of-somebody-else").write_text("four")
    assert not is_other()
    file.write_text(file.read_text() + "# five\n")
    assert is_other()
    file.unlink()
    assert is_other()
