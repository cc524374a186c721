"""What is said in an RTMP stream becomes text, while the stream, the recogniser and the agent go away and come back.

The stream goes through nginx. Sentences are flite's, the recognisers are real ones with Whisper tiny.en. A sentence is
out if a transcript has most of its words. What was heard must be out once: each sentence whose sound was sent a second
before a cut. Noise gives no text.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from support.agents import Listener
from support.programs import missing
from support.real_recognisers import INSTALLED, Server, faster_whisper_server, wyoming_faster_whisper
from support.waiting import wait_until

from chaos.speech_stream import MODULE, Nginx, Pusher
from chaos.stage import Stage
from edgeaudio.types import UTTERANCE_RATE, Samples
from tools.evaluate_speech import SENTENCES
from tools.synth.word_errors import errors_of, words_of
from tools.training.recordings import audio_files, read_audio, without_padding

ESC10 = Path(__file__).parents[3] / "shared" / "data" / "esc10"
NOISES = ("rain", "chainsaw", "sea_waves")
MOST_ERRORS = 0.5  # of a sentence's words, for it to be out
OUT_WITHIN_S = 180.0  # after the fault is over; on a busy machine a real recogniser takes seconds
AWAY_S = 20.0
SOURCE = "studio"


@dataclass(frozen=True, slots=True)
class Words:
    """What came out of one stream."""

    broken: str  # what was
    recogniser: str
    said: int  # sentences
    heard: int  # of them, whole
    out: int  # of those that were heard
    twice: int
    wrong_words: str  # of the sentences that are out
    late_s: str  # from the end of a sentence to its text at a subscriber: median, longest
    texts: int  # transcripts
    faults: tuple[str, ...]


def speech(folder: Path, *, short: bool = False) -> list[Words]:
    """Run the rows, one after the other, with a broker, an nginx and an agent for each."""
    if not INSTALLED.exists():
        missing("real recognisers (make build/recognisers/.installed)")
    if not MODULE.exists():
        missing("nginx's RTMP module (Debian: libnginx-mod-rtmp)")
    n = 3 if short else len(SENTENCES) // 2
    http, wyoming = faster_whisper_server, wyoming_faster_whisper
    makers: list[Callable[[Path], Words]] = [
        partial(_sentences, "nothing", http, n, _nothing),
        partial(_sentences, "the stream, in the middle of a sentence", http, n, _stream_cut),
        partial(_sentences, f"the recogniser: killed, and back after {AWAY_S:g} s", wyoming, n, _recogniser_killed),
        partial(_sentences, f"the recogniser: stopped for {2 * AWAY_S:g} s", http, n, _recogniser_stalled),
        partial(_sentences, "the agent: killed while the recogniser is away", wyoming, n, _agent_killed),
    ]
    if ESC10.is_dir():
        makers.append(partial(_noise, http, 20.0 if short else 600.0))
    rows = []
    for number, make in enumerate(makers[:2] + makers[5:] if short else makers):
        place = folder / str(number)
        place.mkdir()
        rows.append(make(place))
    return rows


class _Scene:
    """A stream through nginx, an agent that transcribes it, and who counts what comes out."""

    def __init__(self, folder: Path, recogniser: Server, stack: ExitStack) -> None:
        self.recogniser = recogniser
        self.nginx = Nginx(folder, stack)
        self.pusher = Pusher(folder, self.nginx.url, stack)
        self.stage = stack.enter_context(Stage(folder))
        self.arrived_s: dict[str, float] = {}  # id -> wall
        self.listener: Listener = self.stage.listen()
        self.agent = self.stage.agent(
            f'[transcripts]\nrecogniser = "{recogniser.url}"\nlanguage = "en"\ntimeout_s = 10\n'
            f'[sources.{SOURCE}]\nurl = "{self.nginx.url}"\ntranscribe = true\n'
        )
        self.agent.start()

    def texts(self) -> list[dict[str, Any]]:
        """Return the transcripts that came, and note when."""
        found = self.listener.payloads(f"{SOURCE}/transcript")
        for each in found:
            self.arrived_s.setdefault(each["id"], time.time())
        return found

    def listening(self, since: int = 0) -> int:
        """Wait until the source is heard, after so many statuses; return how many there are now."""

        def heard() -> bool:
            return any(s["state"] == "listening" for s in self.statuses()[since:])

        wait_until(heard, 120.0, lambda: f"the stream is not heard: {self.statuses()[-3:]}")
        return len(self.statuses())

    def statuses(self) -> list[dict[str, Any]]:
        return self.listener.payloads(f"{SOURCE}/status")

    def say(self, sentences: Sequence[str]) -> None:
        """Push sentences, and return when they were sent."""
        self.pusher.say(sentences)
        wait_until(lambda: self.texts() is None or self.pusher.is_silent, 30.0 + 8.0 * len(sentences))


Break = Callable[[_Scene, Sequence[str]], None]


def _nothing(scene: _Scene, sentences: Sequence[str]) -> None:
    scene.say(sentences)


def _stream_cut(scene: _Scene, sentences: Sequence[str]) -> None:
    """Kill nginx in the middle of a sentence, and start it again."""
    half = len(sentences) // 2
    scene.say(sentences[:half])
    scene.pusher.say(sentences[half : half + 1])
    wait_until(lambda: scene.pusher.is_saying, 20.0)
    time.sleep(1.0)
    known = len(scene.statuses())
    scene.nginx.kill()
    scene.pusher.cut()
    time.sleep(5.0)
    scene.nginx.start()
    scene.pusher.start()
    scene.listening(known)
    scene.say(sentences[half + 1 :])


def _recogniser_killed(scene: _Scene, sentences: Sequence[str]) -> None:
    scene.say(sentences[:1])
    scene.recogniser.stop(signal.SIGKILL)
    scene.say(sentences[1:])
    time.sleep(AWAY_S)
    scene.recogniser.start()


def _recogniser_stalled(scene: _Scene, sentences: Sequence[str]) -> None:
    scene.say(sentences[:1])
    with scene.recogniser.stalled():
        began_s = time.monotonic()
        scene.say(sentences[1:])
        time.sleep(max(0.0, 2 * AWAY_S - (time.monotonic() - began_s)))


def _agent_killed(scene: _Scene, sentences: Sequence[str]) -> None:
    scene.recogniser.stop(signal.SIGKILL)
    scene.say(sentences)
    time.sleep(2.0)  # half a second of silence, a batch, and the sound that waits to be read
    scene.agent.kill()
    scene.recogniser.start()
    scene.agent.start()


def _sentences(broken: str, make: Callable[[Path], Any], n: int, breaking: Break, folder: Path) -> Words:
    with ExitStack() as stack:
        recogniser = stack.enter_context(make(folder))
        scene = _Scene(folder, recogniser, stack)
        scene.listening()
        sentences = SENTENCES[:n] if n < len(SENTENCES) else SENTENCES
        breaking(scene, sentences)
        heard = scene.pusher.heard()

        def missing_ones() -> list[str]:
            found = [words_of(each["text"]) for each in scene.texts()]
            return [each for each in heard if not _matches(each, found)]

        deadline_s = time.monotonic() + OUT_WITHIN_S
        while missing_ones() and time.monotonic() < deadline_s:
            time.sleep(0.2)
        time.sleep(5.0)  # for what comes twice
        lost = missing_ones()
        return _judged(broken, _name(make), sentences, heard, lost, scene)


def _judged(
    broken: str, recogniser: str, sentences: Sequence[str], heard: dict[str, float], lost: list[str], scene: _Scene
) -> Words:
    texts = scene.texts()
    found = [words_of(each["text"]) for each in texts]
    by_sentence = {each: _matches(each, found) for each in heard}
    twice = [each for each, matches in by_sentence.items() if len(matches) > 1]
    repeated = len(texts) - len({each["id"] for each in texts})
    wrong = sum(
        min(errors_of(words_of(each), found[k]) for k in matches) for each, matches in by_sentence.items() if matches
    )
    words = sum(len(words_of(each)) for each, matches in by_sentence.items() if matches)
    late_s = [
        scene.arrived_s[texts[matches[0]]["id"]] - heard[each] for each, matches in by_sentence.items() if matches
    ]
    faults = [f"{broken}: lost: {each}" for each in lost]
    faults += [f"{broken}: twice: {each}" for each in twice]
    faults += [f"{broken}: {repeated} transcripts came twice"] if repeated else []
    return Words(
        broken,
        recogniser,
        len(sentences),
        len(heard),
        len(heard) - len(lost),
        len(twice),
        f"{wrong} of {words}",
        f"{median(late_s):.1f}, {max(late_s):.1f}" if late_s else "",
        len(texts),
        tuple(faults),
    )


def _matches(sentence: str, found: Sequence[Sequence[str]]) -> list[int]:
    """Return the indices of the transcripts that have most of a sentence's words."""
    wanted = words_of(sentence)
    return [k for k, words in enumerate(found) if errors_of(wanted, words) <= MOST_ERRORS * len(wanted)]


def _noise(make: Callable[[Path], Any], seconds: float, folder: Path) -> Words:
    with ExitStack() as stack:
        recogniser = stack.enter_context(make(folder))
        scene = _Scene(folder, recogniser, stack)
        scene.listening()
        sounds = [
            without_padding(read_audio(path, UTTERANCE_RATE))
            for noise in NOISES
            for path in audio_files(ESC10 / noise, "give a folder with ESC-10")
        ]
        pieces: list[Samples] = []
        for sound in cycle(sounds):
            if sum(map(len, pieces)) >= seconds * UTTERANCE_RATE:
                break
            pieces.append(sound)
        scene.pusher.play(np.concatenate(pieces))
        wait_until(lambda: scene.pusher.is_silent, seconds + 60.0)
        time.sleep(20.0)
        texts = scene.texts()
        health = scene.listener.payloads("/health")[-1]["transcripts"]
        what = f"nothing: {seconds / 60:g} min of {', '.join(NOISES)}"
        faults = tuple(f"noise has a text: {each['text']}" for each in texts)
        if health["sent"] != len(texts):
            faults = (*faults, f"health has {health['sent']} transcripts of noise")
        return Words(what, _name(make), 0, 0, 0, 0, "", "", len(texts), faults)


def _name(make: Callable[[Path], Any]) -> str:
    return {"faster_whisper_server": "faster-whisper-server", "wyoming_faster_whisper": "wyoming-faster-whisper"}[
        make.__name__
    ]
