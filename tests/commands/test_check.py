"""`edgeaudio check` against real cameras and brokers: what works, and why the rest does not."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.brokers import BrokerProcess, MosquittoFactory, any_broker, broker, make_certificates, mosquitto
from support.camera import Script, camera
from support.fused import fused_directory, member
from support.ports import free_port
from support.tflite import model_directory
from support.wave_files import write_wave
from support.web import tls_front
from support.wyoming_double import wyoming_double

from edgeaudio import cli
from edgeaudio.wiring import source_config

__all__ = ["any_broker", "broker", "mosquitto"]  # fixtures


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask amqtt, which is silent upon MQTT 5, sooner than a broker across the ocean would have to be."""
    monkeypatch.setattr("edgeaudio.sinks.mqtt.client._MUTE_S", 0.5)
    monkeypatch.setattr("edgeaudio.commands.check.LISTEN_S", 0.3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_directory(tmp_path)


def check(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    """Exit status, and what each line says, by its subject."""
    path = tmp_path / "edgeaudio.toml"
    path.write_text(f'state_dir = "state"\n{text}')
    status = cli.main(["check", "--config", str(path), *options])
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err
    lines = captured.out.splitlines()
    subject = lines[0].index("works")  # the first line is that of the settings, which works
    return status, {line[:subject].strip(): line[subject:] for line in lines}


def test_everything_works(model: Path, any_broker: BrokerProcess, tmp_path: Path, capsys, request) -> None:
    any_broker.start()
    write_wave(tmp_path / "recording.wav", np.zeros((8000, 2)), 8000)
    with camera(Script()) as url:
        status, said = check(
            tmp_path,
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{any_broker.port}"\n[models.mine]\npath = "{model}"\n'
            f'[sources.porch]\nurl = "{url}"\n[sources.tape]\nurl = "{tmp_path}/recording.wav"\n'
            f'[sources.yard]\nurl = "rtsp://127.0.0.1:1/x"\nenabled = false\n',
            capsys,
        )
    assert status == 0
    assert list(said) == [
        "settings",
        "model mine",
        "source porch",
        "source tape",
        "source yard",
        "state_dir",
        "broker",
    ]
    assert said["settings"] == f"works  {tmp_path}/edgeaudio.toml"
    assert said["model mine"].startswith("works  mine 1, 3 labels, clips of 0.10 s, ")
    assert said["state_dir"] == "works  0 messages waiting"
    assert said["source porch"].startswith(f"works  {url}: pcm_s16be, 16000 Hz, 1 channel, -9.0 dBFS")
    assert said["source tape"] == f"works  {tmp_path}/recording.wav: pcm_s16le, 8000 Hz, 2 channels, silence"
    assert said["source yard"] == "off    enabled = false, so it was not tried"
    protocol = "3.1.1" if request.node.callspec.params["any_broker"] == "amqtt" else "5"
    assert said["broker"] == f"works  mqtt://127.0.0.1:{any_broker.port}: connected, MQTT {protocol}"


def test_each_thing_that_fails_says_why_and_hides_no_other(model: Path, tmp_path: Path, capsys) -> None:
    closed = free_port()
    with camera(Script(audio=False, video=True)) as deaf:
        status, said = check(
            tmp_path,
            f'[mqtt]\nurl = "mqtt://me:hunter2@127.0.0.1:{closed}"\n'
            f'[models.mine]\npath = "{model}"\n[models.gone]\npath = "gone"\n'
            f'[sources.porch]\nurl = "rtsp://me:hunter2@127.0.0.1:{closed}/x"\n'
            f'[sources.deaf]\nurl = "{deaf}"\n'
            '[sources.tape]\nurl = "/nowhere/tape.wav"\n',
            capsys,
        )
    assert status == 2
    assert said["model mine"].startswith("works")
    problem = "is not a model directory; it must hold model.toml, and model.tflite unless it is fused"
    assert said["model gone"] == f"FAILS  {tmp_path}/gone: {problem}"
    assert said["source porch"] == (
        f"FAILS  rtsp://me:***@127.0.0.1:{closed}/x: nothing listens on 127.0.0.1:{closed}; "
        "check the port, and that the service is switched on"
    )
    assert "no audio track" in said["source deaf"]
    assert said["source tape"].startswith("FAILS  /nowhere/tape.wav: ")
    assert said["broker"] == (
        f"FAILS  mqtt://127.0.0.1:{closed}: connection refused; check the port, and that the broker runs"
    )


def test_nothing_to_listen_to_is_a_failure(model: Path, any_broker: BrokerProcess, tmp_path: Path, capsys) -> None:
    any_broker.start()
    text = f'[mqtt]\nurl = "mqtt://127.0.0.1:{any_broker.port}"\n[models.mine]\npath = "{model}"'
    status, said = check(tmp_path, text, capsys)
    assert (status, said["sources"]) == (2, "FAILS  none are set; add a [sources.NAME] table with a url")


def test_a_model_that_cannot_be_reset(tmp_path: Path, capsys) -> None:
    directory = model_directory(tmp_path, "refused_written_variable")
    settings = f'[models.mine]\npath = "{directory}"\n[sources.tape]\nurl = "tape.wav"\n'
    status, said = check(tmp_path, settings, capsys, "--offline")
    assert status == 2
    refused = f"{directory}/model.tflite: writes to variables that keep their values from clip to clip"
    assert said["model mine"].startswith(f"FAILS  {refused}")
    assert cli.main(["run", "--config", str(tmp_path / "edgeaudio.toml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert refused in line


def test_labels_that_the_model_has_not(model: Path, tmp_path: Path, capsys) -> None:
    _, said = check(
        tmp_path,
        f'[models.mine]\npath = "{model}"\nthresholds.furst.on = 0.5\n'
        '[sources.tape]\nurl = "/nowhere/tape.wav"\nthresholds.secnd.on = 0.5\n',
        capsys,
    )
    assert said["model mine"] == (
        'FAILS  models.mine.thresholds: the model has no label "furst"; did you mean "first"?'
    )
    assert said["source tape"] == (
        'FAILS  sources.tape.thresholds: the model has no label "secnd"; did you mean "second"?'
    )


def test_a_fused_model_beside_its_own_member_is_warned_of(tmp_path: Path, capsys) -> None:
    one, two = member(tmp_path, "one"), member(tmp_path, "two", "waveform_int8")
    fused_directory(tmp_path, [one, replace(two, labels={"third": "first"})])
    model_directory(tmp_path, "waveform_int8", name="mine")  # two, by another name
    lines = [f'models.{name}.path = "{tmp_path / name}"' for name in ("fused", "one", "mine")]
    lines += [f'sources.{name}.url = "rtsp://127.0.0.1:1/x"' for name in ("porch", "quay")]
    lines += [f'mqtt.url = "mqtt://127.0.0.1:{free_port()}"', 'sources.quay.models = ["one", "mine"]']

    def warnings(*more: str) -> list[str]:
        (tmp_path / "edgeaudio.toml").write_text("\n".join([*lines, *more]))
        status = cli.main(["check", "--offline", "--config", str(tmp_path / "edgeaudio.toml")])
        said = capsys.readouterr().out.splitlines()
        assert status == 0
        return [line.removeprefix("models").strip() for line in said if line.startswith("models ")]

    twice = "each sound twice; run one of them, or leave those labels out of"
    assert warnings() == [
        f"warns  fused is made of one, and both report first, second, third of porch: {twice} models.one.labels",
        f"warns  fused is made of mine, and both report first of porch: {twice} models.mine.labels",
    ]
    assert warnings('models.mine.labels = ["second"]', 'models.one.labels = ["first"]') == [
        f"warns  fused is made of one, and both report first of porch: {twice} models.one.labels"
    ]
    assert warnings('sources.porch.models = ["fused"]') == []


def test_a_state_directory_that_cannot_be_used(model: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    _, said = check(tmp_path, f'[models.mine]\npath = "{model}"', capsys)
    assert said["state_dir"].startswith(f"FAILS  state directory {tmp_path}/state cannot be used: ")


def test_a_broker_that_refuses_the_login(model: Path, mosquitto: MosquittoFactory, tmp_path: Path, capsys) -> None:
    broker = mosquitto(users={"me": "right"}).start()
    (tmp_path / "password").write_text("hunter2\n")
    text = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\nusername = "me"\npassword_file = "password"\n'
    _, said = check(tmp_path, f'{text}[models.mine]\npath = "{model}"', capsys)
    assert said["broker"].startswith("FAILS")
    assert "check the user name and the password" in said["broker"]
    (tmp_path / "password").write_text("right\n")
    _, said = check(tmp_path, f'{text}[models.mine]\npath = "{model}"', capsys)
    assert said["broker"] == f"works  mqtt://127.0.0.1:{broker.port}: connected, MQTT 5"


def test_a_broker_whose_certificate_is_not_trusted(model: Path, broker: BrokerProcess, tmp_path: Path, capsys) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    with tls_front(broker.start().port, certificates.server_context()) as port:
        text = f'[models.mine]\npath = "{model}"\n[mqtt]\nurl = "mqtts://localhost:{port}"\n'
        _, said = check(tmp_path, text, capsys)
        assert said["broker"].startswith("FAILS")
        assert "ca_file" in said["broker"]
        _, said = check(tmp_path, f'{text}ca_file = "{certificates.ca}"', capsys)
    assert said["broker"].startswith(f"works  mqtts://localhost:{port}: connected, MQTT ")


def test_sources_are_tried_side_by_side(model: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    limit_s = 1.0
    monkeypatch.setattr(
        "edgeaudio.commands.check.source_config",
        lambda name, source: replace(source_config(name, source), open_timeout_s=limit_s),
    )
    with camera(Script(hang_at="OPTIONS")) as mute:
        tables = [f'[sources.mute-{i}]\nurl = "{mute}"' for i in range(6)]
        began_s = time.monotonic()
        status, said = check(tmp_path, "\n".join([f'[models.mine]\npath = "{model}"', *tables]), capsys)
        took_s = time.monotonic() - began_s
    assert status == 2
    assert sum("no complete answer within 1 s" in line for line in said.values()) == 6
    assert took_s < 6 * limit_s


def test_offline_nothing_is_asked_opened_or_written(model: Path, tmp_path: Path, capsys) -> None:
    closed = free_port()
    status, said = check(
        tmp_path,
        f'[mqtt]\nurl = "mqtt://me:hunter2@127.0.0.1:{closed}"\n[models.mine]\npath = "{model}"\n'
        f'[sources.porch]\nurl = "rtsp://me:hunter2@127.0.0.1:{closed}/x"\n',
        capsys,
        "--offline",
    )
    assert status == 0
    assert list(said) == ["settings", "model mine", "source porch", "broker"]
    assert said["source porch"] == f"works  rtsp://me:***@127.0.0.1:{closed}/x: not opened"
    assert said["broker"] == f"works  mqtt://127.0.0.1:{closed}: not asked"
    assert not (tmp_path / "state").exists()


def test_clips_are_tried_if_they_are_switched_on(model: Path, tmp_path: Path, capsys) -> None:
    head = f'[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n[models.mine]\npath = "{model}"\n'
    _, said = check(tmp_path, head, capsys)
    assert "clips" not in said
    _, said = check(tmp_path, f"{head}[clips]\nenabled = true\n", capsys)
    assert said["clips"].split() == ["works", str(tmp_path / "state" / "clips")]
    assert not (tmp_path / "state" / "clips").exists()  # it would belong to whoever ran check
    (tmp_path / "file").touch()
    status, said = check(tmp_path, f'{head}[clips]\nenabled = true\nfolder = "file"\n', capsys)
    assert status == 2
    assert said["clips"] == f"FAILS  cannot be written to {tmp_path}/file: Not a directory"
    status, said = check(tmp_path, f'{head}[clips]\nenabled = true\nlabels = ["frist"]\n', capsys, "--offline")
    assert status == 2
    assert said["clips"].endswith('clips.labels: the model has no label "frist"; did you mean "first"?')
    period = f"{head}period_ms = 1000\n[clips]\nenabled = true\n[clips.never_with]\nfirst = 0.2\n"
    status, said = check(tmp_path, period, capsys, "--offline")
    assert status == 2
    assert "hears only a part of the sound" in said["clips"]


def test_the_recogniser_is_asked_where_one_is_set(model: Path, tmp_path: Path, capsys) -> None:
    head = f'[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n[models.mine]\npath = "{model}"\n'
    _, said = check(tmp_path, head, capsys)
    assert "transcripts" not in said
    with wyoming_double() as double:
        source = f'[sources.porch]\nurl = "{tmp_path}/none.wav"\nenabled = false\ntranscribe = true\n'
        head += f'[transcripts]\nrecogniser = "{double.url}"\ntimeout_s = 1.0\n'
        _, said = check(tmp_path, head + source, capsys, "--offline")
        assert said["transcripts"] == f"works  {double.url}: not asked, for porch"
        assert double.asked == []
        _, said = check(tmp_path, head + source, capsys)
        assert said["transcripts"].startswith("FAILS  recogniser wyoming://127.0.0.1:")
        double.start()
        _, said = check(tmp_path, head, capsys)
        assert said["transcripts"].startswith(f"works  {double.url}: double answers in 0.")
        assert said["transcripts"].endswith(" s, for no source: none has transcribe = true")
        assert [asked.seconds for asked in double.asked] == [1.0]


def test_offline_models_labels_and_certificates_are_tried(model: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    status, said = check(
        tmp_path,
        f'[mqtt]\nurl = "mqtts://localhost"\nca_file = "ca.pem"\n'
        f'[models.mine]\npath = "{model}"\n[models.gone]\npath = "gone"\n'
        '[sources.porch]\nurl = "https://localhost/x"\nca_file = "ca.pem"\n',
        capsys,
        "--offline",
    )
    assert status == 2
    assert said["model gone"].startswith(f"FAILS  {tmp_path}/gone: is not a model directory")
    assert said["source porch"].startswith("FAILS  https://localhost/x: ")
    assert f"{tmp_path}/ca.pem" in said["source porch"]
    assert said["broker"].startswith("FAILS  mqtts://localhost:8883: cannot use ca_file ")


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
