"""`edgeaudio calibrate`: a table and settings from sound of a site; what is refused."""

import re
import tomllib

import numpy as np
import pytest
from support.ports import free_port
from support.rtsp import push_rtsp
from support.tflite import without_runtime_line
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.capture.errors import SourceError
from edgeaudio.commands import calibrate as calibrate_module
from edgeaudio.commands.calibrate import Request
from edgeaudio.commands.calibrate import calibrate as run_calibrate
from edgeaudio.commands.recognition import results
from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import Reason

RATE = 1200  # of the test model: clips of 120 samples, three scores that are means of their thirds


@pytest.fixture
def hour(tmp_path):
    """Eleven minutes with scores of 0.3; a few seconds of 0.6, and 20 s of 0.95."""
    samples = np.full(11 * 60 * RATE, 0.3)
    samples[300 * RATE : 304 * RATE] = 0.6
    samples[500 * RATE : 520 * RATE] = 0.95
    return write_wave(tmp_path / "hour.wav", samples, RATE)


@pytest.fixture
def calibrate(tmp_path, model, hour, capsys):
    """Run the command with settings that have a model and a source; status, lines, errors."""
    path = tmp_path / "edgeaudio.toml"
    path.write_text(
        f'[models.mine]\npath = "{model}"\nperiod_ms = 2000\n'
        f'[sources.porch]\nurl = "{hour}"\nthresholds.second.on = 0.6\n[sources.barn]\nurl = "{hour}"\n'
    )

    def running(*arguments):
        status = cli.main(["calibrate", "--config", str(path), *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, without_runtime_line(captured.err)

    return running


def settings_of(text):
    return tomllib.loads(text.partition("# put these")[2].partition("\n")[2])


def test_a_table_and_settings_for_every_source(calibrate, hour):
    status, text, errors = calibrate(hour)
    assert (status, errors) == (0, "")
    lines = text.splitlines()
    assert lines[0] == ("11 min of sound; at most 0.5 false alarms of a label a day; beyond 11 min that is an estimate")
    assert lines[2].split()[:5] == ["mine", "threshold", "highest", "alarms", "proposed"]
    assert lines[3].split() == ["first", "0.50", "0.60", "1", "0.81", "05:00.00"]
    left_out = lines[lines.index("left out, for they may be real: listen to them, and use --all if they are not") + 1 :]
    assert left_out[0].split()[:4] == ["first", "0.95", "22", "s"]
    on = {"on": 0.81}
    assert settings_of(text) == {"models": {"mine": {"thresholds": {"first": on, "second": on, "third": on}}}}
    assert "on = 0.81  # was 0.5" in text


def test_each_of_two_models_is_told_what_its_own_threshold_was(calibrate, model, hour):
    other = [f"--set=models.other.{setting}" for setting in (f"path={model}", "thresholds.first.on=0.55")]
    _, text, _ = calibrate(*other, hour)
    mine, of_other = text.partition("# put these")[2].split("[models.other.")[:2]
    assert "on = 0.81  # was 0.5\n" in mine
    assert "on = 0.81  # was 0.55\n" in of_other


def test_a_named_model_has_the_thresholds_of_the_settings(calibrate, hour):
    higher = "--set=models.mine.thresholds.first.on=0.9"
    _, text, _ = calibrate(higher, "--model", "mine", hour)
    assert set(settings_of(text)["models"]["mine"]["thresholds"]) == {"second", "third"}
    _, text, _ = calibrate(higher, "--model", "mine", "porch")
    assert set(settings_of(text)["sources"]["porch"]["thresholds"]) == {"second", "third"}
    assert "[sources.porch.thresholds.second]\non = 0.81  # was 0.6\n" in text
    status, text, errors = calibrate("--model", "mine", "--model", "mine", hour)
    assert (status, text, errors) == (2, "", "edgeaudio: --model: two models are mine; name each once\n")


def test_an_off_threshold_of_the_settings_keeps_its_proportion(calibrate, hour):
    changed = [f"--set=models.mine.thresholds.first.{setting}" for setting in ("on=0.5", "off=0.48")]
    _, text, _ = calibrate(*changed, hour)
    thresholds = settings_of(text)["models"]["mine"]["thresholds"]
    assert (thresholds["first"], thresholds["second"]) == ({"on": 0.81, "off": 0.78}, {"on": 0.81})


def test_the_settings_name_the_directory_of_a_model_that_has_no_name_here(calibrate, model, hour):
    _, text, _ = calibrate("--model", model, hour)
    (table,) = settings_of(text)["models"].values()
    assert table["path"] == model
    assert set(table["thresholds"]) == {"first", "second", "third"}


def test_settings_for_the_source_that_is_heard_in_a_file(calibrate, tmp_path):
    out = tmp_path / "porch.toml"
    status, text, errors = calibrate("--all", "-o", out, "porch")
    assert (status, errors) == (
        0, f"edgeaudio: {out} written: put its tables in place of those in the settings file\n",
    )  # fmt: skip
    on = {"on": 0.99}
    assert tomllib.loads(out.read_text()) == {
        "sources": {"porch": {"thresholds": {"first": on, "second": on, "third": on}}}
    }
    assert "left out" not in text
    status, _, errors = calibrate("-o", out, "porch")
    assert (status, errors) == (2, f"edgeaudio: {out} exists; replace it with --overwrite, or name another with -o\n")


def test_the_recording_itself_is_not_written_over(calibrate, hour):
    before = hour.read_bytes()
    status, _, errors = calibrate("-o", hour, "--overwrite", hour)
    assert (status, errors) == (2, f"edgeaudio: {hour} is the recording itself; name another file with -o\n")
    assert hour.read_bytes() == before


def test_a_recording_counts_once(calibrate, hour, tmp_path):
    link = tmp_path / "link.wav"
    link.symlink_to(hour)
    status, _, errors = calibrate(hour, link)
    assert (status, errors) == (
        2,
        f"edgeaudio: {link}: is named twice, and would count twice; name each recording once\n",
    )


def test_where_the_thresholds_do_that_is_said(calibrate, hour):
    higher = [f"--set=models.mine.thresholds.{label}.on=0.9" for label in ("first", "second", "third")]
    again = hour.with_name("again.wav")
    again.write_bytes(hour.read_bytes())
    _, text, _ = calibrate(*higher, "--source", "barn", hour, again)
    assert text.splitlines()[0].startswith("22 min of sound")
    assert "hour.wav 05:00.00" in text
    assert text.endswith("the thresholds do: nothing is proposed\n")
    # the highest there is, which five seconds of 0.995 reach nevertheless
    write_wave(hour, np.append(np.full(11 * 60 * RATE, 0.3), np.full(5 * RATE, 0.995)), RATE)
    status, text, _ = calibrate(*[each.replace("0.9", "0.99") for each in higher], hour)
    assert text.count("no threshold helps; 1.0 turns it off") == 3
    assert (status, text.endswith("nothing is proposed; see the notes above\n")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["short.wav"], "1 min of sound say nothing of a day: record 10 minutes at least, better an hour or a night"),
        (["--source", "yard", "short.wav"], "--source: no source of the settings has that name; there is porch, barn"),
        (["porch", "barn"], "several sources have thresholds of their own: calibrate them one by one"),
        (["absent.wav"], "absent.wav: no such file; sources of the settings: porch, barn"),
        (["."], ".: this is a directory; name a recording in it"),
        (["-o", ".", "short.wav"], ". is a directory; name a file with -o"),
        (["-o", "x" * 300, "short.wav"], "cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_done_is_one_line(calibrate, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    write_wave(tmp_path / "short.wav", np.full(60 * RATE, 0.3), RATE)
    status, text, errors = calibrate(*arguments)
    assert (status, text) == (2, "")
    assert errors.startswith("edgeaudio: ")
    assert line in errors
    assert errors.count("\n") == 1


def test_sound_under_the_gate_gives_no_thresholds(calibrate, tmp_path):
    write_wave(tmp_path / "muted.wav", np.zeros(660 * RATE), RATE)
    status, text, errors = calibrate(tmp_path / "muted.wav")
    assert (status, text) == (2, "")
    assert errors.startswith("edgeaudio: all 11 min are under the gate of -60 dBFS (gate_dbfs), where no model runs: ")


def test_settings_that_cannot_be_written_are_printed(calibrate, tmp_path):
    out = tmp_path / "file" / "porch.toml"
    (tmp_path / "file").touch()
    status, text, errors = calibrate("-o", out, "porch")
    assert status == 2
    assert errors.startswith(f"edgeaudio: {out}: cannot be written: ")
    assert "[sources.porch.thresholds.first]\non = 0.81" in text


@pytest.mark.parametrize("is_heard", [True, False])
def test_what_was_heard_before_a_source_broke_off_counts(calibrate, monkeypatch, is_heard):
    def broken_off(config, *arguments, **options):
        yield from results(config, *arguments, **options) if is_heard else ()
        raise SourceError(config.name, config.address, Reason.TIMEOUT, "no sound for 10 s", "")

    monkeypatch.setattr(calibrate_module, "results", broken_off)
    status, text, errors = calibrate("porch")
    assert status == 2
    assert "hour.wav: no sound for 10 s" in errors
    assert errors.endswith("; the 11 min before that count\n") == is_heard
    assert ("first" in settings_of(text)["sources"]["porch"]["thresholds"]) if is_heard else text == ""


@pytest.mark.integration  # starts a sender
def test_a_live_source_is_heard_for_as_long_as_is_wanted(tmp_path, model):
    url = f"rtsp+listen://127.0.0.1:{free_port()}/x"
    path = tmp_path / "edgeaudio.toml"
    path.write_text(f'[models.mine]\npath = "{model}"\n[sources.porch]\nurl = "{url}"\n')
    wanted = Request(
        models=(), source=None, per_day=0.5, live_s=1.0, every=False, lower=False, out=None, overwrite=False
    )
    with push_rtsp(url.replace("+listen", "")), pytest.raises(EdgeaudioError, match=r"^1 s of sound say nothing"):
        run_calibrate(["porch"], path, [], wanted)


@pytest.mark.integration  # starts a sender
def test_a_live_source_that_ends_early_is_named(tmp_path, model, capsys):
    url = f"rtsp+listen://127.0.0.1:{free_port()}/x"
    path = tmp_path / "edgeaudio.toml"
    path.write_text(f'[models.mine]\npath = "{model}"\n[sources.porch]\nurl = "{url}"\n')
    wanted = Request(
        models=(), source=None, per_day=0.5, live_s=600.0, every=False, lower=False, out=None, overwrite=False
    )
    sent = push_rtsp(url.replace("+listen", ""), seconds=1)
    with sent, pytest.raises(EdgeaudioError, match=r"^1 s of sound say nothing"):
        run_calibrate(["porch"], path, [], wanted)
    # a sender that ends may close its connection, or reset it
    ended = f"edgeaudio: {re.escape(url)}: the (stream ended|sender broke off); the 1 s before that count\n"
    assert re.search(ended, capsys.readouterr().err)
