"""What is said in an RTMP stream becomes text, while the stream, the recogniser and the agent go away and come back.

The stream goes through nginx. Sentences are flite's, the recognisers are real ones with Whisper tiny.en. A sentence is
out if a transcript has most of its words. What was heard must be out once: each sentence whose sound was sent a second
before a cut. Noise gives no text.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from support.agents import Listener
from support.ports import free_port
from support.programs import missing, require_program
from support.real_recognisers import INSTALLED, Server, faster_whisper_server, wyoming_faster_whisper
from support.waiting import wait_until

from chaos.stage import Stage
from edgeaudio.types import UTTERANCE_RATE, Samples
from tools.evaluate_speech import SENTENCES
from tools.synth.flite import spoken
from tools.synth.word_errors import errors_of, words_of
from tools.training.recordings import audio_files, read_audio, without_padding

ROOT = Path(__file__).parents[2]
ESC10 = ROOT.parent / "shared" / "data" / "esc10"
NOISES = ("rain", "chainsaw", "sea_waves")
PAUSE_S = 1.5  # between sentences
SURE_S = 1.0  # before a cut, after which what was sent was heard
MOST_ERRORS = 0.5  # of a sentence's words, for it to be out
OUT_WITHIN_S = 180.0  # after the fault is over; on a busy machine a real recogniser takes seconds
AWAY_S = 20.0
MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
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
    if not Path(MODULE).exists():
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


class Nginx:
    """nginx that passes on an RTMP stream, until it is killed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        port = free_port()
        self.url = f"rtmp://127.0.0.1:{port}/live/{SOURCE}"
        self._folder = folder
        self._config = folder / "nginx.conf"
        user = "user root;\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"{user}daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\n"
            f"load_module {MODULE};\nevents {{}}\n"
            f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        stack.callback(self.kill)

    def start(self) -> None:
        command = [require_program("nginx"), "-p", str(self._folder), "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


class Pusher:
    """A process that pushes a stream in real time: silence, and what it is given to say."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder = folder / "push"
        self._folder.mkdir()
        self._url = url
        self._number = 0
        self._given: list[list[str]] = []  # sentences of each piece
        self._cut_s: list[float] = []  # wall
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        stack.callback(self.cut)

    def start(self) -> None:
        command = [sys.executable, "-m", "chaos.speech", self._url, str(self._folder)]
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)

    def cut(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            self._cut_s.append(time.time())
            for begun in self._folder.glob("*.begun"):
                begun.with_suffix(".done").touch()  # it will not be said to its end

    def say(self, sentences: Sequence[str]) -> None:
        """Give sentences, one piece each, with a pause after each."""
        for sentence in sentences:
            pause = np.zeros(round(PAUSE_S * UTTERANCE_RATE), np.float32)
            self.play(np.concatenate([spoken(sentence).samples, pause]), sentence)

    def play(self, samples: Samples, *sentences: str) -> None:
        """Give sound to push, float32 at UTTERANCE_RATE."""
        new = self._folder / f"{self._number}.new.npy"
        np.save(new, samples)
        new.rename(self._folder / f"{self._number:03d}.npy")
        self._given.append(list(sentences))
        self._number += 1

    @property
    def is_silent(self) -> bool:
        """True if all that was given was pushed."""
        return len(list(self._folder.glob("*.done"))) == self._number

    @property
    def is_saying(self) -> bool:
        """True if the last piece is being pushed."""
        return (self._folder / f"{self._number - 1:03d}.begun").exists()

    def heard(self) -> dict[str, float]:
        """Return the sentences that were sent whole, SURE_S before any cut, and when each had ended, as wall time."""
        found: dict[str, float] = {}
        for number, sentences in enumerate(self._given):
            begun = self._folder / f"{number:03d}.begun"
            length_s = len(np.load(self._folder / f"{number:03d}.npy")) / UTTERANCE_RATE
            if not begun.exists():
                continue
            began_s = float(begun.read_text())
            end_s = began_s + length_s - PAUSE_S
            if any(began_s < cut_s < end_s + SURE_S for cut_s in self._cut_s):
                continue
            found |= dict.fromkeys(sentences, end_s)
        return found


def push(url: str, folder: Path) -> None:
    """Push silence to an RTMP server in real time, and each file NUMBER.npy of the folder as it comes."""
    import av  # noqa: PLC0415 (only of this process)

    rate, hop = UTTERANCE_RATE, UTTERANCE_RATE // 50
    with av.open(url, "w", format="flv") as output:
        stream = output.add_stream("aac", rate=rate, layout="mono")
        began_s, sent = time.time(), 0
        for samples in _pieces(folder, hop):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
            frame.rate, frame.pts = rate, sent
            output.mux(stream.encode(frame))
            sent += len(samples)
            time.sleep(max(0.0, began_s + sent / rate - time.time()))


def _pieces(folder: Path, hop: int) -> Iterator[Samples]:
    """Yield silence, and each file once, a hop at a time; note when a file begins and when it was sent."""
    noise = np.random.default_rng(1).standard_normal(hop).astype(np.float32) * np.float32(1e-4)
    while True:
        waiting = [
            path for path in sorted(folder.glob("[0-9][0-9][0-9].npy")) if not path.with_suffix(".begun").exists()
        ]
        if not waiting:
            yield noise
            continue
        samples = np.load(waiting[0])
        waiting[0].with_suffix(".begun").write_text(repr(time.time()))
        samples = np.pad(samples, (0, -len(samples) % hop))
        for first in range(0, len(samples), hop):
            yield samples[first : first + hop] + noise
        waiting[0].with_suffix(".done").touch()


if __name__ == "__main__":
    push(sys.argv[1], Path(sys.argv[2]))
