"""`edgeaudio transcribe`: texts of a recording and of a stream, captions, and what goes wrong."""

from __future__ import annotations

import itertools
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.camera import PACKET, Packet, Script, camera
from support.golden_speech import SPEECH
from support.ports import free_port
from support.recognisers import http_bytes, http_server, saying
from support.terminals import terminal
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.commands import transcribe as module
from edgeaudio.commands import transcribe_sources as sources
from edgeaudio.commands import waiting
from edgeaudio.speech.recogniser import RecogniserError, Recognition
from edgeaudio.types import Block, Samples, Utterance

RATE = 16_000
SAID = {"text": " Hello there.", "language": "en"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.01)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A second of silence, somebody who speaks, and a second of silence."""
    return write_wave(tmp_path / "speech.wav", np.pad(SPEECH, RATE), RATE)


def transcribe(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    status = cli.main(["transcribe", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_texts_of_a_recording_are_printed_with_their_positions(speech, capsys) -> None:
    with http_server(saying(http_bytes(SAID))) as url:
        status, lines, errors = transcribe("--recogniser", url, speech, capsys=capsys)
    assert (status, errors) == (0, "")
    assert lines
    assert all(line.endswith("  Hello there.") for line in lines)
    assert lines[0].split()[0].startswith("00:0")


def test_texts_as_json_lines(speech, capsys) -> None:
    with http_server(saying(http_bytes(SAID))) as url:
        status, lines, _ = transcribe("--recogniser", url, "--format", "json", speech, capsys=capsys)
    texts = [json.loads(line) for line in lines]
    assert status == 0
    assert list(texts[0]) == ["offset_s", "duration_s", "text", "language", "confidence", "recogniser"]
    assert texts[0]["text"] == "Hello there."
    assert 0 < texts[0]["offset_s"] < texts[0]["offset_s"] + texts[0]["duration_s"] < 2 + len(SPEECH) / RATE


@pytest.mark.parametrize(("name", "head"), [("a.srt", "1\n00:00:0"), ("a.VTT", "WEBVTT\n\n00:00:0"), ("a", "  00:0")])
def test_captions_are_written_as_the_file_is_named(name, head, speech, tmp_path, capsys) -> None:
    with http_server(saying(http_bytes(SAID))) as url:
        status, lines, errors = transcribe("--recogniser", url, "-o", tmp_path / name, speech, capsys=capsys)
    assert (status, lines, errors) == (0, [], "")
    assert (tmp_path / name).read_text().startswith(head)
    assert "Hello there.\n" in (tmp_path / name).read_text()


def test_a_file_is_not_replaced_unasked(speech, tmp_path, capsys) -> None:
    (tmp_path / "a.srt").write_text("precious")
    arguments = ["--recogniser", "http://127.0.0.1:9/v1", "-o", tmp_path / "a.srt", speech]
    status, _, errors = transcribe(*arguments, capsys=capsys)
    assert (status, (tmp_path / "a.srt").read_text()) == (2, "precious")
    assert "a.srt exists; replace it with --overwrite" in errors
    with http_server(saying(http_bytes(SAID))) as url:
        assert transcribe("--overwrite", *arguments, "--recogniser", url, capsys=capsys)[0] == 0
    assert "precious" not in (tmp_path / "a.srt").read_text()


def test_a_file_that_cannot_be_written(speech, tmp_path, capsys) -> None:
    with http_server(saying(http_bytes(SAID))) as url:
        for out, words in ((tmp_path / "no" / "a.srt", "No such file"), (Path("/dev/full"), "No space left")):
            status, _, errors = transcribe("--recogniser", url, "--overwrite", "-o", out, speech, capsys=capsys)
            assert status == 2
            assert errors.startswith(f"edgeaudio: {out}: cannot be written: {words}")
            assert errors.count("\n") == 1


def test_the_recording_itself_and_a_directory_are_never_written_to(speech, tmp_path, capsys) -> None:
    recorded = speech.read_bytes()
    (tmp_path / "link.wav").symlink_to(speech)
    for out, words in ((speech, "is the recording itself"), (tmp_path / "link.wav", "itself"), (tmp_path, "directory")):
        status, _, errors = transcribe(
            "--recogniser", "http://127.0.0.1:9/v1", "--overwrite", "-o", out, speech, capsys=capsys
        )
        assert status == 2
        assert words in errors
        assert errors.count("\n") == 1
    assert speech.read_bytes() == recorded


def test_a_recording_that_cannot_be_read_leaves_files_as_they_are(tmp_path, capsys) -> None:
    (tmp_path / "junk.wav").write_bytes(b"junk" * 100)
    (tmp_path / "old.srt").write_text("precious")
    for name in ("old.srt", "new.srt"):
        arguments = ["--overwrite", "-o", tmp_path / name, tmp_path / "junk.wav"]
        assert transcribe("--recogniser", "http://127.0.0.1:9/v1", *arguments, capsys=capsys)[0] == 2
    assert (tmp_path / "old.srt").read_text() == "precious"
    assert not (tmp_path / "new.srt").exists()


def test_the_last_utterance_may_take_longer_than_a_disk_may_hang(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(waiting, "SHOWN_AFTER_S", 0.1)
    monkeypatch.setattr(waiting, "_TURN_S", 0.01)
    speech = write_wave(tmp_path / "speech.wav", SPEECH[: 4 * RATE], RATE)
    said = saying(http_bytes(SAID))

    def slowly(connection: socket.socket) -> None:
        time.sleep(0.4)
        said(connection)

    with http_server(slowly) as url:
        status, lines, errors = transcribe("--recogniser", url, speech, capsys=capsys)
    assert (status, len(lines), errors) == (0, 1, "")


def test_a_fault_is_printed_in_place_of_the_progress_bar(speech, tmp_path) -> None:
    bad = saying(http_bytes({}, "503 Service Unavailable"))
    script = (
        "import sys\nfrom edgeaudio import cli\nfrom edgeaudio.commands import progress\n"
        "progress.EVERY_S = 0.0\nsys.exit(cli.main(sys.argv[1:]))"
    )
    with http_server(bad, bad, saying(http_bytes(SAID))) as url:
        command = [sys.executable, "-c", script, "transcribe", "--recogniser", url, "-o", "a.srt", str(speech)]
        with terminal(command, folder=tmp_path) as user:
            shown = user.rest()
    faults = [line for line in shown.split("\n") if "edgeaudio: " in line]
    assert len(faults) == 2, shown
    for line in faults:
        drawn, _, last = line.rpartition("\r")
        assert last.startswith("edgeaudio: "), line
        assert not drawn.rpartition("\r")[2].strip(), line  # the bar was wiped out before


def test_without_speech_that_is_said(tmp_path, capsys) -> None:
    silence = write_wave(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    status, lines, errors = transcribe("--recogniser", "http://127.0.0.1:9/v1", silence, capsys=capsys)
    assert (status, lines, errors) == (0, [], "edgeaudio: no speech was found\n")


def test_invented_text_is_left_out(speech, capsys) -> None:
    with http_server(saying(http_bytes({"text": "[BLANK_AUDIO]"}))) as url:
        _, lines, errors = transcribe("--recogniser", url, speech, capsys=capsys)
    assert (lines, errors) == ([], "edgeaudio: no speech was found\n")


def test_the_recogniser_and_its_key_may_be_in_the_settings(speech, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("EDGEAUDIO_TRANSCRIPTS__API_KEY", "sesame")
    heard: list[bytes] = []
    with http_server(saying(http_bytes(SAID)), heard=heard) as url:
        (tmp_path / "a.toml").write_text(
            f'[transcripts]\nrecogniser = "{url}"\nlanguage = "de"\n[sources.porch]\nurl = "{speech}"\n'
        )
        status, lines, _ = transcribe("--config", tmp_path / "a.toml", "--language", "en", "porch", capsys=capsys)
    assert status == 0
    assert lines
    assert b"Authorization: Bearer sesame" in heard[0]
    assert b"\r\nen\r\n" in heard[0]


def test_what_is_no_recogniser(speech, capsys) -> None:
    for arguments, words in (
        ([], "no recogniser: name one with --recogniser"),
        ([], "docs/speech.md"),
        (["--recogniser", "ftp://127.0.0.1"], "edgeaudio: --recogniser: the recogniser's address must begin"),
        (["--language", "e n"], "edgeaudio: --language: "),
        (["--recogniser", "http://anna:sesame@127.0.0.1/v1"], "would show in the process list"),
    ):
        status, lines, errors = transcribe(*arguments, speech, capsys=capsys)
        assert (status, lines) == (2, [])
        assert words in errors
        assert "sesame" not in errors
        assert errors.count("\n") == 1


def test_a_slow_recogniser_is_not_taken_for_a_slow_source(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("edgeaudio.commands.waiting.SHOWN_AFTER_S", 0.2)
    to_the_end = write_wave(tmp_path / "speech.wav", SPEECH, RATE)  # the last utterance is cut where the sound ends

    def late(connection: socket.socket) -> None:
        time.sleep(0.6)
        connection.sendall(http_bytes(SAID))

    with http_server(late) as url:
        status, lines, errors = transcribe("--recogniser", url, to_the_end, capsys=capsys)
    assert (status, errors) == (0, "")
    assert lines


def test_a_recogniser_that_is_away_is_asked_again(speech, capsys) -> None:
    bad = saying(http_bytes({}, "503 Service Unavailable"))
    with http_server(bad, bad, saying(http_bytes(SAID))) as url:
        status, lines, errors = transcribe("--recogniser", url, speech, capsys=capsys)
    assert status == 0
    assert lines
    assert errors.count("503") == 1
    assert errors.endswith("edgeaudio: the recogniser answers again\n")


def test_a_recogniser_that_never_answers_ends_a_recording(speech, tmp_path, capsys) -> None:
    arguments = ["--recogniser", f"http://127.0.0.1:{free_port()}/v1", "-o", tmp_path / "a.vtt", speech]
    status, _, errors = transcribe(*arguments, capsys=capsys)
    assert status == 2
    assert (tmp_path / "a.vtt").read_text() == "WEBVTT\n\n"
    first, last = errors.splitlines()  # why it was asked again, and why it is not any more
    assert last == f"{first} (asked 6 times)"


def test_an_utterance_that_is_refused_is_left_out(speech, capsys) -> None:
    with http_server(saying(http_bytes({}, "400 Bad Request"))) as url:
        status, lines, errors = transcribe("--recogniser", url, speech, capsys=capsys)
    assert (status, lines) == (0, [])
    assert "400" in errors


def test_each_utterance_has_all_of_its_tries_also_after_one_that_was_refused() -> None:
    away, refused = RecogniserError("away"), RecogniserError("refused", is_final=True)
    answers: list[RecogniserError | Recognition] = [away, refused, away, Recognition("Hello there.")]

    class Recogniser:
        name = "scripted"

        def recognise(self, _: Samples) -> Recognition:
            answer = answers.pop(0)
            if isinstance(answer, RecogniserError):
                raise answer
            return answer

        def close(self) -> None:
            pass

    asking = module._Asking(Recogniser(), threading.Event(), most_tries=2)
    utterance = Utterance("given", 0, datetime(2026, 1, 1, tzinfo=UTC), 0.0, np.zeros(RATE, np.float32))
    assert [asking.said(utterance).text for _ in range(2)] == ["", "Hello there."]


def test_a_recording_that_is_cut_off_is_transcribed_as_far_as_it_goes(speech, capsys) -> None:
    speech.write_bytes(speech.read_bytes()[: RATE * 2 * 6])  # 6 s
    with http_server(saying(http_bytes(SAID))) as url:
        status, lines, errors = transcribe("--recogniser", url, speech, capsys=capsys)
    assert status == 2
    assert lines
    assert "cut off after 6.0 s" in errors


def test_a_source_that_is_not_there(capsys) -> None:
    for source in ("gone.wav", f"http://127.0.0.1:{free_port()}/a.wav"):
        status, lines, errors = transcribe("--recogniser", "http://127.0.0.1:9/v1", source, capsys=capsys)
        assert (status, lines) == (2, [])
        assert source.rpartition("/")[2] in errors
        assert errors.count("\n") == 1


def test_the_channel_that_is_not_inverted_is_heard(tmp_path, capsys) -> None:
    samples = np.pad(SPEECH, RATE)
    both = write_wave(tmp_path / "both.wav", np.stack([samples, -samples], axis=1), RATE)
    with http_server(saying(http_bytes(SAID))) as url:
        _, lines, _ = transcribe("--recogniser", url, both, capsys=capsys)
    assert lines


def test_the_first_word_of_an_inverted_channel_is_heard(tmp_path, capsys) -> None:
    samples = SPEECH[11 * RATE // 4 : 17 * RATE // 4]
    alone = write_wave(tmp_path / "alone.wav", samples, RATE)
    both = write_wave(tmp_path / "both.wav", np.stack([samples, -samples], axis=1), RATE)
    with http_server(saying(http_bytes(SAID))) as url:
        texts = [
            transcribe("--recogniser", url, "--format", "json", recording, capsys=capsys)[1]
            for recording in (alone, both)
        ]
    assert len(texts[0]) == 1
    assert texts[1] == texts[0]


def test_what_is_shorter_than_a_second_is_heard_on_an_inverted_channel() -> None:
    samples = SPEECH[11 * RATE // 4 : 14 * RATE // 4]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    alone, ears = sources.Ears("auto"), sources.Ears("auto")
    for first in range(0, len(samples), 1000):
        piece = samples[first : first + 1000]
        for listening, heard in ((alone, piece), (ears, np.stack([piece, -piece], axis=1))):
            assert not list(listening.feed(Block("given", 0, first, at, RATE, heard)))
    (expected,) = alone.flush()
    (said,) = ears.flush()
    assert np.array_equal(said.samples, expected.samples)
    assert (said.at, said.offset_s) == (expected.at, expected.offset_s)


def packets() -> Iterator[Packet]:
    """Somebody who speaks for 1.5 s, then the end."""
    pcm = np.rint(np.pad(SPEECH[11 * RATE // 4 : 17 * RATE // 4], (0, RATE // 5)) * 32767).astype(">i2")
    for index in itertools.count():
        payload = pcm[index * PACKET : (index + 1) * PACKET].tobytes()
        if len(payload) < 2 * PACKET:
            return
        yield Packet(index * PACKET, payload)


def test_a_disk_that_fills_ends_a_live_stream_with_a_line(capsys) -> None:
    with http_server(saying(http_bytes(SAID))) as recogniser, camera(Script(packets=packets)) as url:
        status, _, errors = transcribe("--recogniser", recogniser, "--overwrite", "-o", "/dev/full", url, capsys=capsys)
    assert status == 2
    assert errors.splitlines()[-1] == "edgeaudio: /dev/full: cannot be written: No space left on device"


def test_a_live_stream_is_opened_again_until_it_is_interrupted() -> None:
    with http_server(saying(http_bytes(SAID))) as recogniser, camera(Script(packets=packets)) as url:
        command = [sys.executable, "-m", "edgeaudio", "transcribe", "--recogniser", recogniser, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines: list[str] = []
            heard = log = ""
            while heard.count("Hello") < 2 and (line := process.stdout.readline()):
                lines.append(line)
                heard += line
            process.send_signal(signal.SIGINT)
            log = process.stderr.read()
            assert process.wait(20) == 130
    assert all(line.endswith("  Hello there.\n") for line in lines)
    assert "heard: pcm_s16be, 16000 Hz" in log
    assert "heard again" in log
    assert "Traceback" not in log


def test_what_waits_for_a_slow_recogniser_is_bounded_and_the_oldest_is_dropped(capsys) -> None:
    queued = sources._Waiting()
    long = np.zeros(30 * RATE, np.float32)
    for number in range(25):
        queued.put(Utterance("given", number, datetime(2026, 1, 1, tzinfo=UTC), 0.0, long))
    assert [queued.get(0.1).epoch for _ in range(20)] == list(range(5, 25))
    with pytest.raises(queue.Empty):
        queued.get(0.01)
    assert [int(line.split()[7]) for line in capsys.readouterr().err.splitlines()] == [1, 2, 4]
