"""The training set of models/home: what it names, what it must not name, and that it is made the same way again."""

import csv
import shutil
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.espeak import espeak
from support.programs import require_program

from edgeaudio.errors import EdgeaudioError
from models.home.train import donateacry, home_recordings
from models.home.train.home_recordings import CLIP_S, LASTING_S, SAMPLE_RATE, main, write_home_set
from models.home.train.home_speech import SENTENCES, VARIANTS, read_aloud, strung_digits, training_speakers
from tools.synth.alarm_sounds import LABELS
from tools.synth.held_out_speech import SENTENCES as JUDGED_SENTENCES
from tools.synth.held_out_speech import VOICES as JUDGED_VOICES
from tools.synth.house_beeps import HOUSE_BEEPS
from tools.synth.other_sounds import KINDS
from tools.synth.texture_sounds import TEXTURES, rain
from tools.training.corpus import HELD_OUT_SPEAKER, UNLABELLED
from tools.training.dataset import ALWAYS_TRAINED
from tools.training.recordings import read_audio, write_wav

__all__ = ["espeak"]  # a fixture

SHARE = 0.003
DATA = Path(__file__).parents[3] / "shared" / "data"
ESC10_NAMES = ("1-100-A.wav", "2-7-A.wav", "4-9-B.wav")


def a_noise(path, duration_s=0.3):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).normal(0, 0.1, round(duration_s * SAMPLE_RATE)).astype(np.float32)
    write_wav(path, noise, SAMPLE_RATE)


def lay_out(folder):
    """Collections as the real ones are laid out, a few sounds of each."""
    for name in ESC10_NAMES:
        a_noise(folder / "esc10" / "rain" / name)
    for name in ("0_jackson_1", "1_jackson_2", "0_theo_1", f"0_{HELD_OUT_SPEAKER}_1"):
        a_noise(folder / "speech_digits" / f"{name}.wav")
    for collection in UNLABELLED:
        for name in "abcde":
            a_noise(folder / collection / f"{name}.wav")
    for name in (donateacry.TRAINED[0], donateacry.JUDGED[0], "unscreened.wav"):
        a_noise(folder / donateacry.FOLDER / name)
    return folder


@pytest.fixture
def data(tmp_path):
    return lay_out(tmp_path / "data")


@pytest.fixture(scope="module")
def made_set(espeak, tmp_path_factory):
    """The list of a small set, made once; only to be looked at."""
    folder = tmp_path_factory.mktemp("home")
    return write_home_set(lay_out(folder / "data"), folder / "out", 1, share=SHARE)


def rows_of(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def is_movable(row):
    """Drones and hydrophone signals, speech and textures; neither alarms nor what resembles them."""
    return Path(row["file"]).name.partition("-")[0] in UNLABELLED or row["label"] in {"speech", *TEXTURES}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.wav")}


def test_the_list_names_everything_with_its_label_and_fold(made_set):
    file, rows = made_set, rows_of(made_set)
    assert list(rows[0]) == ["file", "label", "fold", "fixed", "judged"]
    silent_alarms, others, negatives, elsewhere = 3, len(KINDS) + len(HOUSE_BEEPS) + 3, 6, 2 * 2
    assert Counter(row["label"] for row in rows) == {
        "rain": 3 + 1, "sea_waves": 1, "fire_crackling": 1, "helicopter": 1, "clock_tick": 1,
        "smoke_alarm": 2 + 1, "co_alarm": 2, "siren": 1 + 1, "speech": 2,
        "baby_cry": 1, "": silent_alarms + others + negatives + elsewhere,
    }  # fmt: skip
    assert all((file.parent / row["file"]).is_file() for row in rows)
    assert len({row["file"] for row in rows}) == len(rows)
    recorded = [row for row in rows if row["label"] == "rain" and not row["file"].startswith("made/")]
    assert [(Path(row["file"]).name, row["fold"]) for row in recorded] == [(name, name[0]) for name in ESC10_NAMES]
    assert {row["fold"] for row in rows if row not in recorded} == {str(ALWAYS_TRAINED)}
    # what is told by its rhythm is fixed, whether it is an alarm or resembles one; nothing else is
    for row in rows:
        made = row["file"].startswith("made/")
        assert row["fixed"] == ("yes" if made and not is_movable(row) else "no")
        assert row["judged"] == ("no" if made else "yes")


def test_a_kind_of_background_is_left_out_of_one_fold(espeak, data, tmp_path, monkeypatch):
    monkeypatch.setattr(home_recordings, "_pieces", lambda *_: ())  # nothing else is made
    monkeypatch.setattr(home_recordings, "BACKGROUND_CLIPS", 4)
    for kind in ("fans", "ships", "strangers", "wind"):
        a_noise(tmp_path / "backgrounds" / kind / "a.wav", 7.0)
        a_noise(tmp_path / "backgrounds" / kind / "longer.wav", 2.0)
    (tmp_path / "backgrounds" / "strangers" / "labels.txt").write_text("speech\nmusic\n")
    file = write_home_set(data, tmp_path / "out", 1, backgrounds=tmp_path / "backgrounds")
    rows = [row for row in rows_of(file) if Path(row["file"]).name.startswith("background_")]
    found = {(Path(r["file"]).stem.split("-")[0], r["label"], r["fold"], r["fixed"], r["judged"]) for r in rows}
    assert found == {
        ("background_fans", "", "1", "no", "no"), ("background_ships", "", "2", "no", "no"),
        ("background_strangers", "speech", "4", "no", "no"), ("background_wind", "", "1", "no", "no"),
    }  # fmt: skip
    assert Counter(row["fold"] for row in rows) == {"1": 8, "2": 4, "4": 4}
    for row in rows:
        samples = read_audio(file.parent / row["file"], SAMPLE_RATE)
        assert 0 < len(samples) <= LASTING_S * SAMPLE_RATE
        assert samples.any()


@pytest.mark.parametrize(
    ("name", "words"), [("none", "no folders there; --backgrounds must hold one"), ("empty", "no recordings there")]
)
def test_backgrounds_that_are_missing_are_named(espeak, data, tmp_path, capsys, monkeypatch, name, words):
    monkeypatch.setattr(home_recordings, "_pieces", lambda *_: ())
    (tmp_path / "empty" / "wind").mkdir(parents=True)
    arguments = ["--data", str(data), "--out", str(tmp_path / "out"), "--backgrounds", str(tmp_path / name)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_clips_are_as_long_as_promised_and_sound(made_set):
    for row in rows_of(made_set):
        if not row["file"].startswith("made/"):
            continue
        with wave.open(str(made_set.parent / row["file"])) as made:
            assert (made.getframerate(), made.getnchannels(), made.getsampwidth()) == (SAMPLE_RATE, 1, 2)
            length = made.getnframes()
        if row["label"] == "speech":
            assert 5 * SAMPLE_RATE <= length <= 8 * SAMPLE_RATE
        else:
            assert length == SAMPLE_RATE * (LASTING_S if is_movable(row) else CLIP_S)
        assert np.any(read_audio(made_set.parent / row["file"], SAMPLE_RATE))


def test_nothing_held_out_is_named(made_set):
    rows = rows_of(made_set)
    for collection in UNLABELLED:
        assert [Path(r["file"]).stem for r in rows if Path(r["file"]).parent.name == collection] == ["a", "c", "e"]
    assert not [row for row in rows if "speech_digits" in row["file"]]
    assert [Path(row["file"]).name for row in rows if row["label"] == "baby_cry"] == [donateacry.TRAINED[0]]


def test_no_phone_is_trained_on_and_judged_with():
    trained, judged = (
        {name[: donateacry.PHONE] for name in names} for names in (donateacry.TRAINED, donateacry.JUDGED)
    )
    assert len(trained) == len(donateacry.TRAINED)
    assert len(judged) == len(donateacry.JUDGED)
    assert not trained & judged


def test_the_speaker_who_is_held_out_never_speaks(data):
    speakers = training_speakers(sorted((data / "speech_digits").iterdir()))
    assert [{path.stem.split("_")[1] for path in speaker} for speaker in speakers] == [{"jackson"}, {"theo"}]


def test_one_speaker_at_a_time_with_pauses(tmp_path):
    for speaker, level in (("low", 0.1), ("high", 0.9)):
        write_wav(tmp_path / f"0_{speaker}_0.wav", np.full(4_000, level, dtype=np.float32), SAMPLE_RATE)
    speakers = training_speakers(sorted(tmp_path.iterdir()))
    for seed in range(4):
        samples = strung_digits(speakers, 6.0, SAMPLE_RATE, np.random.default_rng(seed))
        assert len(samples) == 6 * SAMPLE_RATE
        tenths = set(np.round(samples * 10).astype(int).tolist())
        assert tenths in ({0, 1}, {0, 9})


def test_the_same_seed_gives_the_same_bytes_and_nothing_held_out_is_heard(made_set, data, tmp_path):
    for collection in UNLABELLED:
        for name in "bd":
            (data / collection / f"{name}.wav").write_bytes(b"whoever reads this is told off")
    write_home_set(data, tmp_path / "again", 1, share=SHARE)
    assert contents(tmp_path / "again") == contents(made_set.parent)


@pytest.mark.slow
def test_another_seed_gives_other_recordings(made_set, data, tmp_path):
    write_home_set(data, tmp_path / "other", 2, share=SHARE)
    first, other = contents(made_set.parent), contents(tmp_path / "other")
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_a_resumed_run_makes_only_what_is_missing(made_set, data, tmp_path):
    shutil.copytree(made_set.parent, tmp_path / "out")
    before = contents(tmp_path / "out")
    times = {path: (tmp_path / "out" / path).stat().st_mtime_ns for path in before}
    lost = Path("made/co_alarm/co_alarm-0001.wav")
    (tmp_path / "out" / lost).unlink()
    write_home_set(data, tmp_path / "out", 1, share=SHARE)
    assert contents(tmp_path / "out") == before
    now = {path: (tmp_path / "out" / path).stat().st_mtime_ns for path in before}
    assert [path for path in before if now[path] != times[path]] == [lost]


def test_voices_and_sentences_are_none_that_a_model_is_judged_by():
    judged = [voice.partition("+") for voice in JUDGED_VOICES]
    assert not {language for language, _, _ in judged} & set(SENTENCES)
    # English is spoken in other accents; no other language is shared in any
    assert {language.split("-")[0] for language, _, _ in judged} & {name.split("-")[0] for name in SENTENCES} == {"en"}
    assert not {variant for _, _, variant in judged if variant} & set(VARIANTS)
    assert not set(JUDGED_SENTENCES) & {sentence for sentences in SENTENCES.values() for sentence in sentences}


@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_is_read_aloud(language):
    require_program("espeak-ng")
    samples = read_aloud(language, 5.0, SAMPLE_RATE, np.random.default_rng(3))
    assert len(samples) == 5 * SAMPLE_RATE
    assert np.sqrt(np.mean(samples**2)) > 0.005


def test_a_voice_that_is_not_installed_is_named(monkeypatch):
    require_program("espeak-ng")
    monkeypatch.setitem(SENTENCES, "xx-none", ("Nobody speaks so.",))
    with pytest.raises(EdgeaudioError, match=r"does not read voice xx-none.*does not exist"):
        read_aloud("xx-none", 5.0, SAMPLE_RATE, np.random.default_rng(1))


def test_without_espeak_nothing_is_begun(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tools.synth.espeak.PROGRAM", "no-such-program")
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "home_recordings: espeak-ng is not installed, and part of the speech is its: apt install espeak-ng\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["esc10", "speech_digits", "baby_cry_phone", "drone", "hydrophone"])
def test_a_missing_collection_is_named(espeak, data, tmp_path, capsys, name):
    shutil.rmtree(data / name)
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{data / name}: no recordings there; --data must hold {', '.join(home_recordings.COLLECTIONS)}" in error


def test_a_recording_without_a_fold_is_named(espeak, data, tmp_path):
    a_noise(data / "esc10" / "rain" / "mine.wav")
    with pytest.raises(EdgeaudioError, match=r"mine\.wav: its name must begin with its fold"):
        write_home_set(data, tmp_path / "out", 1, share=SHARE)


def test_two_seeds_do_not_mix(made_set, data):
    with pytest.raises(EdgeaudioError, match="made with seed 1, not 2; remove it, or give another --out"):
        write_home_set(data, made_set.parent, 2, share=SHARE)


def test_the_command_says_what_it_made(espeak, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(home_recordings, "ALARMS", {"siren": 2})
    monkeypatch.setattr(home_recordings, "EUROPEAN_ALARMS", {})
    monkeypatch.setattr(home_recordings, "SILENT_ALARMS", {"siren": 1})
    monkeypatch.setattr(home_recordings, "OTHERS_PER_KIND", 1)
    monkeypatch.setattr(home_recordings, "UNLABELLED_AGAIN", 1)
    monkeypatch.setattr(home_recordings, "TEXTURES", {"rain": rain})
    monkeypatch.setattr(home_recordings, "TEXTURES_PER_LABEL", 4)
    monkeypatch.setattr(home_recordings, "STRUNG_DIGITS", 2)
    monkeypatch.setattr(home_recordings, "READ_ALOUD", 1)
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 0
    words = capsys.readouterr().out.split("\n")
    assert words[0] == str(tmp_path / "out" / "home.csv")
    assert [line.strip() for line in words[1:-1]] == [
        f"{1 + len(KINDS) + len(HOUSE_BEEPS) + 3 + 2 + 6} without a label",
        "1 baby_cry", f"{3 + 4} rain", "2 siren", "3 speech",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_real_collections(espeak, tmp_path):
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here: {DATA}")
    rows = rows_of(write_home_set(DATA, tmp_path / "out", 1, share=SHARE))
    unrecorded = {*LABELS, "speech", ""}
    recorded = [row for row in rows if row["label"] not in unrecorded and not row["file"].startswith("made/")]
    assert Counter(row["label"] for row in recorded if row["fold"] == str(ALWAYS_TRAINED)) == {"baby_cry": 41}
    assert {row["fold"] for row in recorded} == {str(ALWAYS_TRAINED), "1", "2", "3", "4"}
    assert len({row["label"] for row in recorded}) == 10
    assert len(recorded) == 318 + 41
    of = {name: [r for r in rows if Path(r["file"]).is_relative_to(DATA.resolve() / name)] for name in UNLABELLED}
    assert {name: len(found) for name, found in of.items()} == {"drone": 8, "hydrophone": 6}
