"""`edgeaudio score`: a table or JSON of what models give for a recording."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.tflite import model_directory
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.recognise.manifest import ClipSection

RATE = 1200  # of the test model: clips of 120 samples, one each 50 ms, three scores that are means of their thirds


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
    long = write_wave(tmp_path / "long.wav", np.where(np.arange(RATE * 3) % RATE < 400, 0.9, 0.0), RATE)
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
    path = write_wave(tmp_path / "silence.wav", np.zeros(RATE), RATE)
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
