"""Transcripts of a running agent: off unless asked for, each once, none lost, and never in the way of a detection."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.golden_speech import SPEECH
from support.media import sine, write_media
from support.waiting import wait_until
from support.wyoming_double import WyomingDouble, wyoming_double

RATE = 16_000
MakeAgent = Callable[..., RunningAgent]
MakeListener = Callable[[BrokerProcess], Listener]
TURN_S = 1.6  # of the tape: an utterance in each


@pytest.fixture
def double() -> Iterator[WyomingDouble]:
    with wyoming_double() as made:
        yield made


def sources(folder: Path, *, transcribe: bool = True) -> str:
    """Return the settings of a source in which somebody speaks, over and over, and of one with tones."""
    speech = np.concatenate([SPEECH[round(3.2 * RATE) : round(4.0 * RATE)], np.zeros(round(0.8 * RATE), np.float32)])
    write_media(folder / "speech.wav", "pcm_s16le", speech[None].astype(np.float32), RATE)
    tone = np.concatenate([sine(1000.0, RATE, 1.0), np.zeros((1, RATE), np.float32)], axis=1)
    write_media(folder / "tone.wav", "pcm_s16le", tone, RATE)
    said = "transcribe = true\n" if transcribe else ""
    return (
        f'[sources.porch]\nurl = "{folder}/speech.wav"\nloop = true\n{said}'
        f'[sources.hall]\nurl = "{folder}/tone.wav"\nloop = true\n'
    )


def transcripts(double: WyomingDouble, **more: object) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f'[transcripts]\nrecogniser = "{double.url}"\nlanguage = "en"\n{lines}'


def waiting(folder: Path) -> list[Path]:
    utterances = folder / "state" / "utterances"
    return sorted(utterances.glob("*.utterance")) if utterances.exists() else []


def ids_of(files: list[Path]) -> set[str]:
    return {file.name.split(".")[2] for file in files}


def health_of(listener: Listener) -> dict[str, Any]:
    reports = listener.payloads("/health")
    return (reports[-1].get("transcripts") if reports else None) or {}


# tells what is loaded and which threads there are, when it gets SIGUSR2
WITNESS = """
import signal, sys, threading
def tell(*_):
    loaded = [name for name in sys.modules if name.startswith(("edgeaudio.speech", "edgeaudio.sinks.transcripts",
              "edgeaudio.recognise.utterances", "edgeaudio.recognise.voice", "edgeaudio.agent.transc", "wyoming"))]
    names = [each.name for each in threading.enumerate() if "trans" in each.name]
    print(f"WITNESS {loaded + names}.", file=sys.__stderr__, flush=True)
signal.signal(signal.SIGUSR2, tell)
"""


def test_off_it_is_nothing_and_leaves_nothing(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, sources(tmp_path, transcribe=False)).start(patch=WITNESS)
    assert listener.wait_state("porch", "listening")["transcribes"] is False
    listener.wait_detection("onset")
    agent.signal(signal.SIGUSR2)
    wait_until(lambda: "]." in agent.log)
    assert "WITNESS []." in agent.log
    assert listener.payloads("/health")[-1]["transcripts"] is None
    assert "transcripts" not in listener.payloads("/health")[-1]["sinks"]
    agent.kill()
    left = tmp_path / "state" / "utterances" / f"000000000001.1800000000.{UUID(int=1)}.porch.utterance"
    left.parent.mkdir()
    left.write_bytes(b"a voice")  # of a run that did transcribe
    agent.start()
    wait_until(lambda: not left.parent.exists())


def test_what_is_said_comes_as_text_once_and_only_of_the_source_that_says_so(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, double: WyomingDouble, tmp_path: Path
):
    broker.start()
    double.start()
    listener = listen_to(broker)
    settings = transcripts(double) + sources(tmp_path)
    agent = run_agent(broker, settings, settings='log_level = "debug"').start()
    assert listener.wait_state("porch", "listening")["transcribes"] is True
    assert listener.wait_state("hall", "listening")["transcribes"] is False
    wait_until(lambda: len(listener.payloads("/transcript")) >= 2, 20)
    first = listener.payloads("/transcript")[0]
    assert set(first) == {
        "schema_version", "id", "text", "at", "duration_s", "language", "confidence", "recogniser", "source", "device",
    }  # fmt: skip
    assert (first["text"], first["source"], first["device"]) == ("sentence 1", "porch", "testbox")
    assert (first["language"], first["confidence"], first["recogniser"]) == ("en", None, "double")
    assert 0.8 < first["duration_s"] < TURN_S
    assert double.asked[0].language == "en"
    assert abs(double.asked[0].seconds - first["duration_s"]) < 0.001
    wait_until(lambda: health_of(listener).get("sent", 0) >= 2)
    assert health_of(listener)["sources"] == ["porch"]
    # a change of the settings ends it: what is said is not looked at any more, and nothing of it stays
    double.kill()
    wait_until(lambda: waiting(tmp_path))
    agent.write(settings.replace("transcribe = true\n", ""))
    agent.signal(signal.SIGHUP)
    wait_until(lambda: listener.payloads("porch/status")[-1]["transcribes"] is False)
    wait_until(lambda: not waiting(tmp_path))
    sentences = [each["text"] for each in listener.payloads("/transcript")]
    assert sentences == [f"sentence {number + 1}" for number in range(len(sentences))]
    assert "committed transcript" in agent.log
    assert "sentence" not in agent.log


def test_nothing_is_lost_and_nothing_comes_twice_over_kills_of_recogniser_agent_and_broker(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, double: WyomingDouble, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, transcripts(double) + sources(tmp_path))
    # no recogniser: what is said waits
    agent.start()
    wait_until(lambda: len(waiting(tmp_path)) >= 2, 20)
    listener.wait_detection("onset")
    wait_until(lambda: "nothing listens" in health_of(listener).get("trouble", ""))
    assert health_of(listener)["waiting"] >= 1
    agent.kill()
    heard = ids_of(waiting(tmp_path))
    # a kill between commit and removal
    double.start()
    dies = (
        "import os, signal\nfrom edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue\n"
        "UtteranceQueue.remove = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    agent.start(patch=dies).wait(20)
    assert len(double.answered) == 1
    heard |= ids_of(waiting(tmp_path))
    # no broker: text waits in the outbox, and the sound is gone
    broker.stop()
    n_asked = len(double.asked)
    agent.start()
    wait_until(lambda: len(double.answered) >= n_asked + len(heard), 20)
    wait_until(lambda: not ids_of(waiting(tmp_path)) & heard)
    agent.kill()
    # what was committed may have been sent before the process died
    early = {each["id"] for each in listener.payloads("/transcript")}
    broker.start()
    listener = listen_to(broker)
    double.kill()
    agent.start()
    wait_until(lambda: heard <= early | {each["id"] for each in listener.payloads("/transcript")}, 20)
    found = [each["id"] for each in listener.payloads("/transcript")]
    assert len(found) == len(set(found))
    texts = [each["text"] for each in listener.payloads("/transcript")]
    assert len(texts) == len(set(texts))


def test_a_recogniser_that_hangs_or_talks_nonsense_delays_no_detection_and_loses_nothing(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, double: WyomingDouble, tmp_path: Path
):
    broker.start()
    double.start()
    goes_on = threading.Event()

    def hang(_number: int) -> str:
        goes_on.wait(20)
        raise OSError

    double.answer = hang
    listener = listen_to(broker)
    agent = run_agent(broker, transcripts(double, timeout_s=1.0) + sources(tmp_path)).start()
    wait_until(lambda: "1 s" in health_of(listener).get("trouble", ""), 20, lambda: str(health_of(listener)))
    before = len(listener.detections("onset"))
    listener.wait_detection("onset", count=before + 2)  # one each 2 s
    double.answer = lambda _number: "\ud800"  # which no UTF-8 has
    goes_on.set()
    wait_until(lambda: "1 s" not in health_of(listener).get("trouble", "1 s"), 20)
    heard = ids_of(waiting(tmp_path))
    double.answer = lambda number: f"sentence {number}"
    wait_until(lambda: heard <= {each["id"] for each in listener.payloads("/transcript")}, 20)
    # the stop ends what the recogniser is asked, and leaves what is being said for the next start
    begun = threading.Event()

    def hang_again(number: int) -> str:
        begun.set()
        return hang(number)

    double.answer = hang_again
    goes_on.clear()
    assert begun.wait(20)
    agent.signal(signal.SIGTERM)
    assert agent.wait(5) == 0
    assert waiting(tmp_path)
    goes_on.set()
