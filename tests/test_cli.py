"""The command line as users meet it: words, exit statuses, one line for whatever they can mend."""

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.camera import Script, camera
from support.tflite import model_directory
from support.waiting import wait_until

from edgeaudio import cli
from edgeaudio.commands import check_parser
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.version import __version__

RATE = 1200  # of the test model: clips of 120 samples, one each 50 ms, three scores that are means of their thirds


def edgeaudio(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeaudio", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def write_wave(path: Path, samples: NDArray[np.float64], sample_rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch) -> None:
    for name in list(os.environ):
        if name.startswith("EDGEAUDIO_"):
            monkeypatch.delenv(name)


@pytest.fixture
def model(tmp_path) -> str:
    return str(model_directory(tmp_path))


@pytest.fixture
def thuds(tmp_path) -> Path:
    """2 s: silence, from 0.5 s to 1.0 s a constant 0.9, silence."""
    samples = np.zeros(2 * RATE)
    samples[RATE // 2 : RATE] = 0.9
    return write_wave(tmp_path / "thuds.wav", samples)


# the frame


def test_help_is_there_without_loading_anything_heavy() -> None:
    script = (
        "import sys; from edgeaudio.cli import parser; parser().format_help()\n"
        "print(*(name for name in ('numpy', 'av', 'pydantic', 'paho', 'ai_edge_litert') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("command", ["run", "check", "probe", "score"])
def test_every_command_explains_itself(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: edgeaudio {command}")
    assert "--config FILE" in text


def test_python_m_is_the_command_and_tells_its_version() -> None:
    assert edgeaudio("--version").stdout == f"edgeaudio {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["listen"], ["probe"], ["probe", "x", "--seconds", "0"], ["score", "x", "--top", "0"]]
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert re.fullmatch(r"edgeaudio: .+; see edgeaudio( \w+)? --help\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["probe"], "the following arguments are required: SOURCE; see edgeaudio probe --help"),
        (
            ["probe", "x", "--seconds", "a\nb"],
            "argument --seconds: a\\nb is not a number from 0.5 to 60; see edgeaudio probe",
        ),
        (
            ["probe", "x", "--seconds", "nan"],
            "argument --seconds: nan is not a number from 0.5 to 60; see edgeaudio probe",
        ),
        (
            ["score", "x", "--top", "1.5"],
            "argument --top: 1.5 is not a whole number from 1 to 10000; see edgeaudio score",
        ),
        (["model", "init", "x", "--sample-rate", "9"], "argument --sample-rate: 9 is not a whole number from 1000 to"),
        (["check", "--print", "--schema"], "argument --schema: not allowed with argument --print; see edgeaudio check"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], line: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(f"edgeaudio: {line}")
    assert error.count("\n") == 1


def run_with(monkeypatch, error: BaseException | None) -> int:
    def command(_):
        if error is not None:
            raise error
        return 0

    monkeypatch.setattr(check_parser, "_check", command)
    return cli.main(["check"])


def test_what_users_can_mend_is_a_line_each_without_secrets(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, EdgeaudioError("first: rtsp://me:hunter2@cam fails\nsecond: too")) == 2
    assert capsys.readouterr().err == "edgeaudio: first: rtsp://me:***@cam fails\nedgeaudio: second: too\n"


def test_a_fault_of_ours_is_a_traceback_without_secrets(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, RuntimeError("rtsp://me:hunter2@cam")) == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "RuntimeError: rtsp://me:***@cam" in text


NUMPYS = "raise ImportError('advice') from ImportError('libx.so: too short', name='numpy.y')"


@pytest.mark.parametrize("command", ["check", "health"])
@pytest.mark.parametrize(
    ("library", "raises", "told"),
    [
        ("numpy", NUMPYS, "libx.so: too short"),
        ("numpy", "raise ModuleNotFoundError('No module named numpy', name='numpy')", "No module named numpy"),
        ("pydantic", "from pydantic import nothing", "cannot import name 'nothing' from "),
    ],
)
def test_a_library_that_cannot_be_imported_is_one_line(command, library, raises, told, tmp_path) -> None:
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text(raises)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
    run = [sys.executable, "-m", "edgeaudio", command]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"edgeaudio: {library} cannot be imported ({told}")
    assert line.endswith("edgeaudio with all that it needs again, by pip's --force-reinstall")


def test_an_import_of_our_own_that_fails_is_a_fault_of_ours(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, ImportError("cannot import", name="edgeaudio.wiring")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_control_c_is_130(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_fault(model, tmp_path) -> None:
    long = write_wave(tmp_path / "long.wav", np.full(RATE * 120, 0.5))
    command = [sys.executable, "-m", "edgeaudio", "score", "--model", model, str(long)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(30) == 141
    assert "Traceback" not in errors
    assert "Broken" not in errors


@pytest.mark.parametrize("command", ["probe", "score", "check"])
def test_control_c_ends_a_live_source_at_once(command: str, model, tmp_path) -> None:
    script = Script(hang_at="OPTIONS") if command == "check" else Script()
    with camera(script) as url:
        (tmp_path / "edgeaudio.toml").write_text(
            f'state_dir = "state"\nmqtt.url = "mqtt://127.0.0.1:1"\n[models.mine]\npath = "{model}"\n'
            f'[sources.porch]\nurl = "{url}"\n'
        )
        more = {"probe": ["--seconds", "60", "porch"], "score": ["porch"], "check": []}[command]
        arguments = [command, "--config", str(tmp_path / "edgeaudio.toml"), *more]
        with subprocess.Popen([sys.executable, "-m", "edgeaudio", *arguments], stdout=-1, stderr=-1) as process:
            last = "OPTIONS" if command == "check" else "PLAY"
            wait_until(lambda: any(request.startswith(last) for request in script.seen), what="the camera is asked")
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=20)[1].decode()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "Interrupt" not in errors


# check


def test_check_prints_the_settings_in_force(tmp_path, capsys) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text('[mqtt]\nurl = "mqtt://me:hunter2@broker"')
    assert cli.main(["check", "--print", "--config", str(path), "--set", "device=dock"]) == 0
    text = capsys.readouterr().out
    assert 'device = "dock"  # --set\n' in text
    assert f'url = "mqtt://me:***@broker"  # {path}\n' in text


def test_check_prints_schema_and_example(capsys) -> None:
    assert cli.main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Settings"
    assert cli.main(["check", "--example"]) == 0
    assert capsys.readouterr().out.startswith("# edgeaudio.toml")


def test_check_of_wrong_settings(tmp_path, capsys) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text("devise = 1")
    assert cli.main(["check", "--config", str(path)]) == 2
    assert capsys.readouterr().err == f'edgeaudio: {path}: devise: unknown setting; did you mean "device"?\n'


def test_run_refuses_wrong_settings_before_anything_else(tmp_path, capsys) -> None:
    assert cli.main(["run", "--config", str(tmp_path / "gone.toml")]) == 2
    expected = f"edgeaudio: {tmp_path}/gone.toml: settings file cannot be read: No such file or directory\n"
    assert capsys.readouterr().err == expected


# score


def score(*arguments: str, capsys) -> tuple[int, list[str], str]:
    status = cli.main(["score", *arguments])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_scores_are_a_table_of_the_best_labels(model, thuds, capsys) -> None:
    status, lines, errors = score("--model", model, "--top", "2", str(thuds), capsys=capsys)
    assert (status, errors) == (0, "")
    assert lines[0] == "  00:00.00      silence  (under the gate)"
    assert lines[12] == "  00:00.60    -0.9 dBFS  first  0.900  second 0.900"
    assert len(lines) == 39  # the first clip begins at 0, the last whole one at 1.9 s


def test_score_refuses_two_models_of_one_name_with_other_labels(model, thuds, tmp_path, capsys) -> None:
    (tmp_path / "others").mkdir()
    other = model_directory(tmp_path / "others", "waveform", labels=("a", "b", "c"))
    status, lines, errors = score("--model", model, "--model", str(other), str(thuds), capsys=capsys)
    assert (status, lines) == (2, [])
    assert errors == "edgeaudio: two models of one name have different labels; rename one in its model.toml\n"


def test_scores_as_json_lines(model, thuds, capsys) -> None:
    _, lines, _ = score("--model", model, "--top", "9", "--json", str(thuds), capsys=capsys)
    clips = [json.loads(line) for line in lines]
    assert [clip["offset_s"] for clip in clips] == pytest.approx(np.arange(39) * 0.05)
    assert clips[0] == {
        "offset_s": 0.0,
        "duration_s": 0.1,
        "model": "test",
        "rms_dbfs": None,
        "silence": True,
        "scores": {},
    }
    assert clips[12]["scores"] == pytest.approx({"first": 0.9, "second": 0.9, "third": 0.9}, abs=1e-3)


def test_events_are_those_of_the_agent_in_media_time(model, thuds, capsys) -> None:
    status, lines, errors = score("--model", model, "--events", "--json", str(thuds), capsys=capsys)
    events = [json.loads(line) for line in lines]
    assert (status, errors) == (0, "")
    assert [(event["kind"], event["label"]) for event in events][:1] == [("onset", "third")]
    assert {event["id"] for event in events if event["kind"] == "onset"} == {
        event["id"] for event in events if event["kind"] == "offset"
    }
    assert all(0.4 <= event["offset_s"] <= 1.1 for event in events)
    _, table, _ = score("--model", model, "--events", str(thuds), capsys=capsys)
    assert table[0].split()[1:] == ["onset", "third", "0.900"]
    assert re.search(r" offset  first   0\.900  after 0\.\d s$", "\n".join(table), re.MULTILINE)


def test_a_configuration_is_proven_on_a_recording(model, thuds, tmp_path, capsys) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text(
        f'[models.mine]\npath = "{model}"\nlabels = ["second", "third"]\nthresholds.third.on = 0.95\n'
        f'[sources.porch]\nurl = "{thuds}"\nthresholds.second.on = 0.95\n'
        f'[sources.yard]\nurl = "{thuds}"\ngate_dbfs = 0\n'
    )
    config = ["--config", str(path)]
    _, lines, errors = score(*config, "--events", str(thuds), capsys=capsys)
    assert {line.split()[2] for line in lines} == {"second"}
    _, lines, errors = score(*config, "--events", "porch", capsys=capsys)
    assert (lines, errors) == ([], "edgeaudio: no events\n")
    _, lines, errors = score(*config, "yard", capsys=capsys)
    assert errors == "edgeaudio: every clip is under 0 dBFS: nothing but silence\n"
    _, lines, _ = score(*config, "porch", capsys=capsys)
    assert lines[12].split()[3:] == ["second", "0.900", "third", "0.900"]  # only what is reported


def test_two_models_are_told_apart(model, thuds, tmp_path, capsys) -> None:
    (tmp_path / "more").mkdir()
    other = str(model_directory(tmp_path / "more", "waveform_logits"))
    manifest = Path(other) / "model.toml"
    manifest.write_text(manifest.read_text().replace('name = "test"', 'name = "other"'))
    _, lines, _ = score("--model", model, "--model", other, "--top", "1", str(thuds), capsys=capsys)
    assert {line.split()[1] for line in lines} == {"test", "other"}


def test_models_of_other_clips_are_a_table_in_order_of_time(model, tmp_path, capsys) -> None:
    clip = ClipSection(sample_rate=1200, n_samples=120, period_ms=70)
    (tmp_path / "more").mkdir()
    other = model_directory(tmp_path / "more", name="another-one", clip=clip)
    long = write_wave(tmp_path / "long.wav", np.where(np.arange(RATE * 3) % RATE < 400, 0.9, 0.0))
    for more in ([], ["--json"], ["--events"], ["--events", "--json"]):
        _, lines, _ = score("--model", model, "--model", str(other), *more, str(long), capsys=capsys)
        if "--json" in more:
            times = [json.loads(line)["offset_s"] for line in lines]
        else:
            times = [float(line.split()[0].replace("00:", "")) for line in lines]
            assert {line[12:23] for line in lines} == {"test       ", "another-one"}
        assert times == sorted(times)
        assert len(times) > 3


def test_scores_of_a_narrow_terminal_are_folded_between_labels(model, thuds, monkeypatch, capsys) -> None:
    monkeypatch.setattr("edgeaudio.commands.score.width_of", lambda _: 60)
    _, lines, _ = score("--model", model, str(thuds), capsys=capsys)
    at = lines.index("  00:00.60    -0.9 dBFS  first  0.900  second 0.900")
    assert lines[at + 1] == " " * 25 + "third  0.900"


def test_silence_is_said_and_is_no_error(model, tmp_path, capsys) -> None:
    path = write_wave(tmp_path / "silence.wav", np.zeros(RATE))
    status, lines, errors = score("--model", model, str(path), capsys=capsys)
    assert status == 0
    assert all(line.endswith("silence  (under the gate)") for line in lines)
    assert errors == "edgeaudio: every clip is under -60 dBFS: nothing but silence\n"


def test_a_recording_that_is_cut_off_is_scored_as_far_as_it_goes(model, thuds, tmp_path, capsys) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(thuds.read_bytes()[: 44 + RATE * 2])  # 1 of 2 s
    status, lines, errors = score("--model", model, str(path), capsys=capsys)
    assert len(lines) >= 18
    assert status == 2
    assert "cut off after 1.0 s of 2.0 s" in errors


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("gone.wav", None, "no such file"), ("empty.wav", b"", "empty"), ("text.wav", b"hello " * 99, "not a recording")],
)
def test_recordings_that_are_none(name: str, content: bytes | None, words: str, model, tmp_path, capsys) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    status, lines, errors = score("--model", model, str(tmp_path / name), capsys=capsys)
    assert (status, lines) == (2, [])
    assert len(errors.splitlines()) == 1
    assert errors.startswith("edgeaudio: ")
    assert words in errors


def test_a_model_that_is_none(thuds, tmp_path, capsys) -> None:
    status, _, errors = score("--model", str(tmp_path), str(thuds), capsys=capsys)
    assert status == 2
    assert errors == f"edgeaudio: {tmp_path}/model.toml: cannot be read: No such file or directory\n"


def test_an_unknown_source_names_those_that_there_are(capsys) -> None:
    arguments = ["--set", "sources.porch.url=alsa:default", "--set", "sources.yard.url=alsa:default", "proch"]
    status, _, errors = score(*arguments, capsys=capsys)
    assert (status, errors) == (2, "edgeaudio: proch: no such file; sources of the settings: porch, yard\n")


def test_long_recordings_show_their_progress_on_a_terminal(model, thuds, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("edgeaudio.commands.progress.EVERY_S", 0.0)
    _, _, errors = score("--model", model, str(thuds), capsys=capsys)
    drawn = errors.split("\r")
    assert any(line.strip().endswith("100%") for line in drawn)
    assert drawn[-1].strip() == ""  # wiped away in the end


# probe


def test_probe_shows_tracks_level_and_a_picture(tmp_path, capsys) -> None:
    time_s = np.arange(8000 * 3) / 8000
    path = write_wave(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * time_s), 8000)
    assert cli.main(["probe", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        f"source     {path}",
        "container  wav",
        "length     00:03.00",
        "track 0    audio, pcm_s16le, 8000 Hz, 1 channel, heard",
        "heard      3.0 s",
        "level      RMS -9.0 dBFS, peak -6.0 dBFS",
    ]
    assert [line.split(" |")[0].strip() for line in lines if "████" in line] == ["978 Hz"]  # 844 to 1134 Hz


@pytest.mark.parametrize("length_s", [9, 150])
def test_probe_draws_all_of_a_recording_as_wide_as_the_terminal(length_s: int, tmp_path, monkeypatch, capsys) -> None:
    time_s = np.arange(2000 * length_s) / 2000
    tone = np.where(time_s >= length_s * 2 / 3, 0.5 * np.sin(2 * np.pi * 500 * time_s), 0) + 0.25
    path = write_wave(tmp_path / "tone.wav", tone, 2000)
    monkeypatch.setattr("edgeaudio.commands.probe.width_of", lambda _: 100)
    assert cli.main(["probe", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # a tone at half of full scale for a third of the time, and DC, which does not count
    assert f"heard      {length_s}.0 s" in lines
    assert any(line.startswith("level      RMS -13.8 dBFS, peak -6") for line in lines)
    picture = [line for line in lines if " |" in line]
    assert {len(line) for line in picture} == {100}
    loudest = max(picture, key=lambda line: line.count("█"))
    drawn = loudest.partition(" |")[2]
    assert drawn.index("█") / len(drawn) == pytest.approx(2 / 3, abs=0.03)
    assert lines[-2].split() == ["0", f"{length_s // 60:02d}:{length_s % 60:02d}.00"]
    assert len(lines[-2]) == 100
    assert cli.main(["probe", "--seconds", "1", str(path)]) == 0
    assert "heard      1.0 s" in capsys.readouterr().out


def test_probe_of_a_pipe_has_an_end(tmp_path) -> None:
    head = write_wave(tmp_path / "head.wav", np.zeros(0), 2000).read_bytes()[:40] + b"\xff\xff\xff\x7f"
    with subprocess.Popen(
        [sys.executable, "-m", "edgeaudio", "probe", "/dev/stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(head)
            while True:  # sound without end
                process.stdin.write(bytes(4000))
        shown = process.stdout.read().decode()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    assert process.returncode == 0
    assert re.search(r"^heard      [56]\.\d s$", shown, re.MULTILINE)


def test_probe_of_ascii_terminals(tmp_path) -> None:
    path = write_wave(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    done = edgeaudio("probe", str(path), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "####" in done.stdout


def test_probe_as_json(tmp_path, capsys) -> None:
    path = write_wave(tmp_path / "silence.wav", np.zeros(8000), 8000)
    assert cli.main(["probe", "--json", "--seconds", "0.5", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["codec"], facts["sample_rate"], facts["channels"], facts["duration_s"]) == ("pcm_s16le", 8000, 1, 1)
    assert (facts["rms_dbfs"], facts["peak_dbfs"]) == (None, None)
    assert 0.5 <= facts["heard_s"] < 0.8
    assert facts["tracks"][0]["kind"] == "audio"


def test_probe_of_silence_and_of_almost_nothing(tmp_path, capsys) -> None:
    assert cli.main(["probe", str(write_wave(tmp_path / "silence.wav", np.zeros(8000), 8000))]) == 0
    text = capsys.readouterr().out
    assert "RMS silence, peak silence" in text
    assert "(nothing but digital silence)" in text
    assert cli.main(["probe", str(write_wave(tmp_path / "short.wav", np.ones(20) / 2, 8000))]) == 0
    assert "|" not in capsys.readouterr().out


def test_probe_of_what_cannot_be_opened(tmp_path, capsys) -> None:
    (tmp_path / "text.wav").write_text("hello " * 99)
    assert cli.main(["probe", str(tmp_path / "text.wav")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["probe", "ftp://me:hunter2@host/x"]) == 2
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["probe", "score"])
@pytest.mark.parametrize(
    "url",
    ["rtsp://me:hunter2@cam/x", "rtsp://hunter2@cam/x", "rtsp://me:hun/ter2@cam/x", "me:hunter2@cam/x",
     "http://cam/x?password=hunter2"],
)  # fmt: skip
def test_a_login_on_the_command_line_is_refused_with_the_way_to_do_it(command: str, url: str, capsys) -> None:
    assert cli.main([command, url]) == 2
    assert capsys.readouterr().err == (
        "edgeaudio: a login here would show in the process list; "
        "write it into the settings, and give the source's name, as in --config edgeaudio.toml porch\n"
    )


@pytest.mark.parametrize("url", ["rtsp://me:hunter2@cam/x", "rtsp://me:hun/ter2@cam/x", "me:hunter2@cam/x"])
@pytest.mark.parametrize("before", [[], ["run"], ["probe", "x"], ["probe", "x", "--seconds"], ["model"]])
def test_wrong_usage_repeats_no_login(before: list[str], url: str, capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main([*before, url])
    error = capsys.readouterr().err
    assert "ter2" not in error
    assert "***" in error or "unrecognized arguments; see" in error


def test_files_with_an_at_in_their_names_are_no_logins(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_wave(tmp_path / "a:b@c.wav", np.zeros(8000), 8000)
    for name in ("a:b@c.wav", "./a:b@c.wav", str(tmp_path / "a:b@c.wav")):
        assert cli.main(["probe", "--json", "--seconds", "0.5", name]) == (2 if name == "a:b@c.wav" else 0)
    assert "./NAME" in capsys.readouterr().err


def test_the_demo_takes_no_login_on_its_command_line(capsys) -> None:
    assert cli.main(["demo", "--broker", "mqtt://me:hunter2@broker"]) == 2
    error = capsys.readouterr().err
    assert "EDGEAUDIO_MQTT__PASSWORD" in error
    assert "hunter2" not in error


@pytest.fixture(autouse=True)
def _restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    "words", [["--password=Zq9Xk7Wv5"], ["--password", "Zq9Xk7Wv5"], ["-pZq9Xk7Wv5"], ["Zq9Xk7Wv5"]]
)
@pytest.mark.parametrize("command", ["run", "check", "demo"])
def test_what_nobody_asked_for_is_not_repeated(command: str, words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, *words])
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert "unrecognized arguments" in error
    assert "Zq9" not in error
    assert ("--password" in error) == words[0].startswith("--password")


def test_want_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise MemoryError

    monkeypatch.setattr("edgeaudio.commands.check.print_example", fails)
    assert cli.main(["check", "--example"]) == 2
    assert capsys.readouterr().err == "edgeaudio: that takes more memory than there is; close other programs\n"
