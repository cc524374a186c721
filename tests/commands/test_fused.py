"""What commands show of a fused model and of its members."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fused import fused_directory, member
from support.tflite import LABELS, WAVEFORM
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.recognise.manifest import DetectorSection


@pytest.fixture
def fused(tmp_path) -> Path:
    one, two = member(tmp_path, "one"), member(tmp_path, "two", "waveform_int8", license="MIT")
    two = replace(two, labels={label: label for label in LABELS[1:]})
    detector = DetectorSection(on=0.6, off=0.4)
    return fused_directory(tmp_path, [one, two], clip=WAVEFORM, detector=detector, groups={"any": ("first", "third")})


def run(*arguments: object, capsys) -> tuple[int, list[str], str]:
    status = cli.main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_score_names_the_members_scores(fused, tmp_path, capsys) -> None:
    sound = tmp_path / "thud.wav"
    write_wave(sound, np.concatenate([np.zeros(600), np.full(1200, 0.8), np.zeros(600)]).astype(np.float32), 1200)
    status, lines, _ = run("score", "--model", fused, "--json", "--top", 9, sound, capsys=capsys)
    clips = [json.loads(line) for line in lines]
    assert status == 0
    assert "members" not in clips[0]  # under the gate
    assert clips[14]["scores"] == pytest.approx(dict.fromkeys(("first", "second", "third", "any"), 0.8), abs=0.01)
    assert clips[14]["members"]["one"] == pytest.approx(
        dict.fromkeys(("first", "second", "third", "any"), 0.8), abs=0.01
    )
    assert clips[14]["members"]["two"] == pytest.approx(dict.fromkeys(("second", "third", "any"), 0.8), abs=0.01)
    _, lines, _ = run("score", "--model", fused, "--json", "--events", sound, capsys=capsys)
    members = {event["label"]: set(event["members"]) for event in map(json.loads, lines)}
    assert members == {"first": {"one"}, "second": {"one", "two"}, "third": {"one", "two"}, "any": {"one", "two"}}


def test_inspect_shows_what_is_combined(fused, capsys) -> None:
    status, lines, _ = run("model", "inspect", fused, capsys=capsys)
    assert status == 0
    text = " ".join(" ".join(lines).split())
    for part in (
        "combine mean_logit",
        "member one one 1, license not stated",
        "second: second",
        "member two two 1, license MIT",
    ):
        assert part in text
    assert "input " not in text


def test_inspect_shows_what_is_combined_otherwise(tmp_path, capsys) -> None:
    one, two = member(tmp_path, "one"), replace(member(tmp_path, "two", "waveform_int8"), window="clip")
    directory = fused_directory(tmp_path, [one, two], combine_labels={"second": "max"})
    _, lines, _ = run("model", "inspect", directory, capsys=capsys)
    text = " ".join(" ".join(lines).split())
    assert "combine mean_logit second: max" in text
    window = "window clip: its highest score within the fused model's clip counts"
    assert window not in text.partition("member two")[0]
    assert window in text.partition("member two")[2]


def test_verify_tries_each_member_and_the_labels_of_the_whole(fused, capsys) -> None:
    status, lines, _ = run("model", "verify", fused, capsys=capsys)
    assert status == 0
    assert [line for line in lines if "  " not in line] == ["member one", "member two", "fused fused"]
    assert lines[-1].split() == ["labels", "works", "3,", "groups", "1"]
    (fused.parent / "two" / "model.tflite").write_bytes(b"")
    status, lines, error = run("model", "verify", fused, capsys=capsys)
    assert (status, lines) == (2, [])
    assert "two/model.tflite: its SHA-256 is" in error
    assert error.count("\n") == 1


def test_verify_fails_where_labels_share_a_topic(tmp_path, capsys) -> None:
    section = member(tmp_path, "one")
    labels = {"a b": "first", "a-b": "second"}
    directory = fused_directory(
        tmp_path, [type(section)("one", section.sha256, labels)], labels=tuple(labels), clip=WAVEFORM
    )
    status, lines, _ = run("model", "verify", directory, capsys=capsys)
    assert status == 2
    assert lines[-1].startswith("labels  FAILS")
