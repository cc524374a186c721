"""`edgeaudio model init` with models as other people's tools write them: what files tell is taken, not guessed."""

import tomllib
import zipfile
from pathlib import Path

import pytest
from support.tflite import content_of, model_directory, without_runtime_line

from edgeaudio import cli
from edgeaudio.commands.model import draft
from edgeaudio.recognise.tflite_metadata import LabelFile, Metadata, TensorMetadata


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def init(capfd):
    """Describe a model; its manifest's table, and what was printed, or the one line of the refusal."""

    def running(name, *arguments, packed=()):
        Path("m.tflite").write_bytes(content_of(name))
        with zipfile.ZipFile("m.tflite", "a") as archive:
            for member, text in packed:
                archive.writestr(member, text)
        status = cli.main(["model", "init", "m.tflite", "--out", "m", *map(str, arguments)])
        out, err = capfd.readouterr()
        err = without_runtime_line(err)
        if status == 2:
            assert (out, err.count("\n")) == ("", 1), out + err
            return None, err.removeprefix("edgeaudio: ").rstrip()
        assert (status, err) == (0, ""), err
        table = tomllib.loads(Path("m/model.toml").read_text())
        assert cli.main(["model", "verify", "m"]) == 0
        capfd.readouterr()
        return table, [line.strip() for line in out.splitlines()]

    return running


def told(monkeypatch, **metadata):
    """Have every file tell this of itself."""
    monkeypatch.setattr(draft, "read_model_metadata", lambda file, content: Metadata(**metadata))


def test_two_heads_that_are_as_likely_are_asked_for(init):
    assert init("others/heads") == (None, (
        "m.tflite: 2 outputs fit (0: PartitionedCall:0 [1, 2], alarm, knock; 1: PartitionedCall:1 [1, 2], indoors, "
        "outdoors); say which with --set output.index=N"
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("index", "arguments", "labels"),
    [
        (0, (), ["alarm", "knock"]),
        (1, (), ["indoors", "outdoors"]),
        (1, ("--labels", "labels_cn_1.txt"), ["室内", "室外"]),
        (0, ('--set=labels=["a", "b"]',), ["a", "b"]),
    ],
)
def test_each_head_has_its_own_labels_and_rate(init, index, arguments, labels):
    table, out = init("others/heads", "--set", f"output.index={index}", *arguments)
    assert table["labels"] == labels
    assert table["clip"] == {"sample_rate": 22050, "n_samples": 16000}
    assert table.get("output", {}).get("index", 0) == index
    guessed = [line for line in out if line.startswith(("input", "clip", "labels", "output"))]
    in_english = "labels: those in English, of labels_en_{0}.txt (en), labels_cn_{0}.txt (cn); else say --labels NAME"
    assert guessed == ([] if arguments else [in_english.format(2 - index)])


def test_a_label_file_that_is_named_says_which_output_is_meant(init):
    table, _ = init("others/heads", "--labels", "labels_cn_1.txt")
    assert (table["labels"], table["output"]["index"]) == (["室内", "室外"], 1)


def test_an_output_gets_no_labels_that_the_file_gives_to_another_one(init, monkeypatch):
    heads = (TensorMetadata(), TensorMetadata(label_files=(LabelFile("labels.txt"),)))
    told(monkeypatch, outputs=heads)
    said = ("--kind", "waveform", "--sample-rate", "1200", "--set", "output.index=0")
    packed = [("labels.txt", "a\nb\nc\n")]
    _, line = init("waveform_two_outputs", *said, packed=packed)
    assert line == "m.tflite: has no labels packed in it; give 3 with --labels FILE, one a line"
    table, out = init("waveform_two_outputs", *said, "--labels", "labels.txt", packed=packed)
    assert table["labels"] == ["a", "b", "c"]
    assert "labels: labels.txt, as you say; the file's metadata gives it to another output" in out


def test_the_rate_that_the_file_tells_is_not_guessed(init):
    table, out = init("others/meta_44k")
    assert table["clip"] == {"sample_rate": 44100, "n_samples": 44100}
    assert table["description"].startswith("Identify the most prominent type in the audio clip")
    assert not any("mend" in line for line in out)


def test_a_rate_that_contradicts_the_file_is_said(init):
    table, out = init("others/meta_44k", "--sample-rate", 16000)
    assert table["clip"]["sample_rate"] == 16000
    assert "clip.sample_rate = 16000: as you say; the file's metadata says 44100" in out


def test_teachable_machine(init):
    Path("labels.txt").write_text("0 Background Noise\n1 no\n2 yes\n")
    table, out = init("others/teachable", "--labels", "labels.txt")
    assert table["labels"] == ["Background Noise", "no", "yes"]
    assert table["clip"] == {"sample_rate": 44100, "n_samples": 44032}
    assert "clip.sample_rate = 44100: 44032 is what Teachable Machine's models take; else say --sample-rate" in out


def test_labels_that_fit_two_outputs_are_asked_for(init):
    refused = init("others/tm_labels")[1]
    assert refused.startswith("m.tflite: 2 outputs fit (0: PartitionedCall:1 [1, 2], Background Noise, Clap; 1: ")
    table, _ = init("others/tm_labels", "--set", "output.index=0")
    assert table["labels"] == ["Background Noise", "Clap"]


def test_labels_that_fit_no_output(init):
    assert init("others/heads", '--set=labels=["a", "b", "c"]')[1] == (
        "m.tflite: none of its outputs (0: [1, 2], 1: [1, 2]) gives 3 scores, one a label"
    )


SHORT = ("--kind", "waveform", "--sample-rate", "1200")


def test_packed_lists_that_are_as_likely_are_asked_for(init):
    packed = [("labels_de.txt", "eins\nzwei\ndrei"), ("labels_fr.txt", "un\ndeux\ntrois"), ("x.png", b"\x89PNG\xff\0")]
    assert init("waveform", *SHORT, packed=packed)[1] == (
        "m.tflite: has labels in labels_de.txt, labels_fr.txt; say which with --labels NAME"
    )
    table, _ = init("waveform", *SHORT, "--labels", "labels_fr.txt", packed=packed)
    assert table["labels"] == ["un", "deux", "trois"]


def test_languages_without_english_are_asked_for(init, monkeypatch):
    files = (LabelFile("a.txt", "de"), LabelFile("b.txt", ""))
    told(monkeypatch, outputs=(TensorMetadata(label_files=files),))
    packed = [("a.txt", "eins\nzwei\ndrei"), ("b.txt", "un\ndeux\ntrois")]
    assert init("waveform", *SHORT, packed=packed)[1] == (
        "m.tflite: has labels in a.txt (de), b.txt (no language); say which with --labels NAME"
    )


def test_labels_of_the_model_as_a_whole(init, monkeypatch):
    told(monkeypatch, label_files=(LabelFile("l", "pt-BR"), LabelFile("gone.txt")))
    assert init("waveform", *SHORT, packed=[("l", "um\ndois\ntrês"), ("m", "1\n2\n3")])[0]["labels"] == [
        "um", "dois", "três"
    ]  # fmt: skip


def test_one_output_of_several_has_labels(init, monkeypatch):
    told(monkeypatch, outputs=(TensorMetadata(), TensorMetadata(label_files=(LabelFile("l.txt"),))))
    table, out = init("waveform_two_outputs", *SHORT, packed=[("l.txt", "a\nb")])
    assert table["output"] == {"index": 1}
    assert "output.index = 1: the one of 2 outputs that gives 2 scores with labels" in out


THREE = '--set=labels=["first", "second", "third"]'
KINDS = ("--kind", "log_mel", "--set", "output.activation=sigmoid")


@pytest.mark.parametrize(
    ("model", "mean", "std", "section", "expected"),
    [
        ("waveform", (0.5,), (2.0,), "input", {"kind": "waveform", "scale": 0.5, "offset": -0.25}),
        ("waveform", (0.0,), (1.0,), "input", {"kind": "waveform"}),
        ("features_time_major", (1, 2, 3), (), "features", {"mean": [1, 2, 3]}),
        ("features_time_major", (1,), (2, 4, 8), "features", {"mean": [1], "std": [2, 4, 8]}),
    ],
)
def test_normalisation_of_the_file_is_taken(init, monkeypatch, model, mean, std, section, expected):
    told(monkeypatch, inputs=(TensorMetadata(mean=mean, std=std),))
    table, _ = init(model, *(SHORT if model == "waveform" else KINDS), THREE)
    assert {key: table[section][key] for key in expected} == expected
    assert section != "input" or table["input"] == expected


def test_normalisation_is_the_user_s_to_say(init, monkeypatch):
    told(monkeypatch, inputs=(TensorMetadata(mean=(9.0,), std=(0.0,)),))
    assert init("waveform", *SHORT, THREE)[1] == (
        "m.tflite: its metadata normalises by numbers that make no sense (mean [9.0], std [0.0]); say --set "
        "input.scale=1 if it wants none"
    )
    assert init("waveform", *SHORT, THREE, "--set", "input.scale=1.0")[0]["input"] == {"kind": "waveform"}


def test_normalisation_that_fits_no_axis_is_said(init, monkeypatch):
    told(monkeypatch, inputs=(TensorMetadata(mean=(1.0, 2.0), std=(1.0, 1.0)),))
    out = init("waveform", *SHORT, THREE)[1]
    assert "input.scale = 1: its metadata normalises by 2 numbers, which fit no axis" in out


def test_a_short_input_that_the_file_calls_sound_is_a_waveform(init, monkeypatch):
    told(monkeypatch, description="x" * 1001, license=" MIT\n", inputs=(TensorMetadata(sample_rate=1200, channels=1),))
    table, out = init("waveform", THREE)
    assert table["input"] == {"kind": "waveform"}
    assert ("description" in table, table["license"]) == (False, "MIT")
    assert not any("mend" in line for line in out)


def test_two_channels_are_refused(init, monkeypatch):
    told(monkeypatch, inputs=(TensorMetadata(sample_rate=1200, channels=2),))
    assert init("waveform", "--kind", "waveform", THREE)[1] == (
        "m.tflite: takes 2 channels, by its metadata; only models of one can be run"
    )


@pytest.mark.parametrize(
    ("threshold", "said", "detector"),
    [
        (0.25, (), {"on": 0.25, "off": 0.15}),
        (0.25, ("--set", "detector.on=0.9"), {"on": 0.9}),
        (0.0, (), None),
        (float("nan"), (), None),
        (7.0, (), None),
    ],
)
def test_the_file_s_threshold_is_where_an_event_begins(init, monkeypatch, threshold, said, detector):
    told(monkeypatch, outputs=(TensorMetadata(threshold=threshold),))
    table, out = init("waveform", *SHORT, THREE, *said)
    assert table.get("detector") == detector
    if detector and not said:
        assert "Thresholds are 0.25 on and 0.15 off for every label until you set them. Next:" in out


def test_a_calibration_that_is_not_used_is_said(init, monkeypatch):
    told(monkeypatch, outputs=(TensorMetadata(calibrated=True),))
    out = init("waveform", *SHORT, THREE)[1]
    assert (
        "scores: as the model gives them; the file's metadata has a table to calibrate them by, which is not used"
        in out
    )


def test_labels_that_make_one_topic(init, tmp_path, capfd):
    """Told apart where a file brings them, refused where a manifest or the user says them."""
    table, out = init("waveform", *SHORT, packed=[("labels.txt", "Dog\ndog\nDOG")])
    assert table["labels"] == ["Dog", "dog 2", "DOG 3"]
    assert "labels: 'dog' became 'dog 2', for 'Dog' makes the same topic" in out
    clash = "the labels 'Dog' and 'dog' would share the topic level 'dog'; rename one"
    assert init("waveform", *SHORT, '--set=labels=["Dog", "dog", "c"]')[1] == f"m.tflite: {clash}"
    directory = model_directory(tmp_path, labels=("Dog", "dog", "c"))
    assert cli.main(["model", "verify", str(directory)]) == 2
    assert f"labels   FAILS  model test: {clash}" in capfd.readouterr().out.splitlines()
    Path("e.toml").write_text(f'state_dir = "state"\n[models.mine]\npath = "{directory}"\n[sources.t]\nurl = "t.wav"\n')
    assert cli.main(["check", "--config", "e.toml", "--offline"]) == 2
    assert f"model mine   FAILS  {clash}" in capfd.readouterr().out
    assert cli.main(["run", "--config", "e.toml"]) == 2
    assert clash in capfd.readouterr().err
    Path("e.toml").write_text(Path("e.toml").read_text().replace("[sources", 'labels = ["Dog", "c"]\n[sources'))
    cli.main(["check", "--config", "e.toml", "--offline"])
    assert "model mine   works" in capfd.readouterr().out  # one of the two alone has its topic


def test_inspect_shows_what_the_file_tells(init, monkeypatch, capfd):
    Path("m.tflite").write_bytes(content_of("others/heads"))
    assert cli.main(["model", "inspect", "m.tflite"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert "metadata of input 0   22050 Hz, 1 channels" in out
    assert "metadata of output 1  labels in labels_en_1.txt (en), labels in labels_cn_1.txt (cn)" in out
    assert "packed                labels_cn_2.txt, 2 lines: 警报, 敲门" in out


def test_the_spectrogram_of_tensorflow_s_tutorial(init):
    table, out = init("others/tutorial_spec", '--set=labels=["go", "no", "stop"]')
    assert table["clip"] == {"sample_rate": 16000, "n_samples": 16000}
    assert table["input"] == {"kind": "spectrogram", "axes": ["batch", "time", "feature", "channel"]}
    assert table["features"] == {
        "n_fft": 256, "win_length": 255, "hop_length": 128, "n_bins": 129, "win_align": "start", "periodic": False,
        "power": 1, "log": "none",
    }  # fmt: skip
    assert (
        "features: win_length = 255, hop_length = 128, periodic = false: usual sizes that make 124 frames; else say "
        "--set features.n_fft=N and so on" in out
    )
    assert any(line.endswith("if it is the other way round, say --set features.n_bins=124") for line in out)


def test_the_spectrogram_of_teachable_machine(init):
    table, _ = init("spectrogram_teachable", THREE)
    assert table["clip"] == {"sample_rate": 44100, "n_samples": 45056}
    assert table["features"] == {
        "n_fft": 2048, "win_length": 2048, "hop_length": 1024, "n_bins": 232, "window": "blackman", "power": 1,
        "spectrum_scale": 1 / 2048, "log_floor": 1e-5, "standardize": True,
    }  # fmt: skip


def test_a_spectrogram_whose_bins_are_not_all(init):
    """And in decibels of power, as librosa has them."""
    table, out = init("spectrogram_teachable", THREE, "--kind", "spectrogram", "--preset", "librosa")
    assert table["clip"]["sample_rate"] == 44100
    assert table["features"]["n_fft"] == 512
    assert table["features"]["top_db"] == 80.0
    assert "features.n_fft = 512: 232 bins are not all of any usual FFT's" in out


ENCODER = (*("--kind", "log_mel"), "--set", "features.n_mels=3", "--set", "features.log=ln")


def test_an_autoencoder(init, capfd):
    table, out = init("autoencoder", *ENCODER)
    assert table["labels"] == ["anomaly"]
    assert table["output"]["kind"] == "reconstruction_error"
    assert table["output"]["half_error"] > 0
    assert 'output.kind = "reconstruction_error": its output has the shape of its input' in out
    assert any("its error for plain noise; say one that your usual sound stays under" in line for line in out)
    assert cli.main(["model", "verify", "m"]) == 0
    verified = capfd.readouterr().out
    assert f"scores   works  errors of {table['output']['half_error']:.4g} for noise and " in verified
    assert cli.main(["model", "inspect", "m"]) == 0
    assert "its error in giving its input back, as a score: a mean square of" in capfd.readouterr().out


def test_an_autoencoder_s_error_that_is_said(init):
    said = ("--set", "output.kind=reconstruction_error", "--set", "output.half_error=9.0")
    table, out = init("autoencoder", *ENCODER, *said, '--set=labels=["odd"]')
    assert (table["labels"], table["output"]) == (["odd"], {"kind": "reconstruction_error", "half_error": 9.0})
    assert not any(line.startswith("output") for line in out)


def test_a_front_end_of_the_clip(init, capfd):
    Path("front.tflite").write_bytes(content_of("frontend_clip"))
    said = ("--frontend", "front.tflite", "--sample-rate", "8000", "--clip-s", "0.045", THREE)
    table, out = init("features_open_batch", *said, "--set", "output.activation=sigmoid")
    assert table["clip"] == {"sample_rate": 8000, "n_samples": 360, "period_ms": 22}
    assert (table["input"]["kind"], table["input"]["frontend"]) == ("waveform", "front.tflite")
    assert "input.frontend_scale = 1.0: samples from -1 to 1; say 32768 where it wants 16-bit values" in out
    assert Path("m/front.tflite").read_bytes() == content_of("frontend_clip")
    assert cli.main(["model", "inspect", "m"]) == 0
    assert "front end   front.tflite, of samples times 1" in capfd.readouterr().out


def test_a_front_end_of_a_frame_at_a_time(init, capfd):
    Path("front.tflite").write_bytes(content_of("frontend_frame"))
    said = ("--frontend", "front.tflite", "--sample-rate", "8000", THREE, "--set", "output.activation=sigmoid")
    assert init("features_time_major", *said)[1] == (
        "front.tflite: makes 3 values of 15 samples, and m.tflite takes 72; say how many samples lie between its "
        "frames with --set input.frontend_hop=N"
    )
    table, _ = init("features_time_major", *said, "--set", "input.frontend_hop=15")
    assert table["clip"]["n_samples"] == 360
    assert table["input"]["frontend_scale"] == 32768.0
    assert cli.main(["model", "inspect", "m"]) == 0
    assert "front end   front.tflite, each 15 samples, of samples times 32768" in capfd.readouterr().out
