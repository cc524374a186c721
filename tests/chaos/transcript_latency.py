"""How long it takes from the end of speech, at a live RTSP camera, to the text at a subscriber of the broker.

    PYTHONPATH=tests python -m chaos.transcript_latency [UTTERANCES]

Needs Mosquitto. The camera sends packets of 20 ms when they are due, and notes when the last one with speech went out.
The recogniser takes a known time. The promise is the silence after which an utterance ends, a batch of the voice
activity, a drain of the source, the recogniser's time, and 50 ms. The rows are for docs/speech.md.
"""

from __future__ import annotations

import random
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.agents import DETECTOR, DEVICE, NEVER, Listener, RunningAgent
from support.brokers import MosquittoFactory
from support.camera import PACKET, RATE, Packet, Script, camera
from support.golden_speech import SPEECH
from support.tflite import model_directory
from support.wyoming_double import wyoming_double

from edgeaudio.recognise.utterances import SILENCE_S
from edgeaudio.recognise.voice_activity import BATCH, HOP_LENGTH, SAMPLE_RATE

RECOGNISER_S = 0.2
SPOKEN = SPEECH[round(3.2 * RATE) : round(4.0 * RATE)]  # as the voice activity has it, speech to its last sample
DRAINS_MS = (500, 0)


class Speaker:
    """Somebody who speaks into the camera, with pauses of random length."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._random = random.Random(20)
        self.ended_s: list[float] = []  # monotonic, of the last packet with speech

    def packets(self) -> Iterator[Packet]:
        timestamp = 0

        def sent(samples: NDArray[np.float32]) -> Iterator[Packet]:
            nonlocal timestamp
            for part in np.rint(32767 * samples).astype(">i2").reshape(-1, PACKET):
                yield Packet(timestamp, part.tobytes())
                timestamp += PACKET

        yield from sent(np.zeros(4 * RATE, np.float32))
        for _ in range(self._count):
            yield from sent(SPOKEN)
            self.ended_s.append(time.monotonic())
            yield from sent(np.zeros(self._random.randrange(70, 110) * PACKET, np.float32))
        while True:
            yield from sent(np.zeros(RATE, np.float32))


def main(count: int) -> None:
    print(f"recogniser: {RECOGNISER_S:g} s; {count} utterances in each row\n")
    heads = (
        "drain",
        "median",
        "95 %",
        "longest",
        "after the answer, longest",
        "promised",
        "above it",
        "CPU of the agent",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for drain_ms in DRAINS_MS:
        with tempfile.TemporaryDirectory() as name:
            print(row(Path(name), drain_ms, count), flush=True)


def row(folder: Path, drain_ms: int, count: int) -> str:
    """Measure one agent; return the row of the table."""
    speaker = Speaker(count)
    model_directory(folder, "features_time_major", detector=DETECTOR, thresholds={"first": NEVER, "third": NEVER})

    answered_s: list[float] = []

    def answer(number: int) -> str:
        time.sleep(RECOGNISER_S)
        answered_s.append(time.monotonic())
        return f"sentence {number}"

    with ExitStack() as stack:
        broker = MosquittoFactory(folder)()
        broker.start()
        stack.callback(broker.stop)
        double = stack.enter_context(wyoming_double())
        url = stack.enter_context(camera(Script(speaker.packets)))
        double.answer = answer
        double.start()
        settings = (
            f'[transcripts]\nrecogniser = "{double.url}"\n'
            f'[sources.porch]\nurl = "{url}"\ntranscribe = true\nlatency_ms = {drain_ms}\n'
        )
        agent = RunningAgent(folder, broker.port, settings)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Listener(broker.port, f"edgeaudio/{DEVICE}/porch/transcript") as listener:
            agent.start()
            stack.callback(agent.kill)
            arrived_s: list[float] = []
            deadline_s = time.monotonic() + 4 * count + 60
            while len(arrived_s) < count and time.monotonic() < deadline_s:
                if len(listener.heard) > len(arrived_s):
                    arrived_s.append(time.monotonic())
                time.sleep(0.001)
        agent.signal(signal.SIGTERM)
        agent.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(arrived_s) == len(speaker.ended_s) == count, (len(arrived_s), len(speaker.ended_s))
    waits_s = sorted(arrived - ended for arrived, ended in zip(arrived_s, speaker.ended_s, strict=True))
    promised_s = SILENCE_S + BATCH * HOP_LENGTH / SAMPLE_RATE + drain_ms / 1000 + RECOGNISER_S + 0.05
    after_s = [arrived - answered for arrived, answered in zip(arrived_s, answered_s, strict=True)]
    above = sum(each > promised_s for each in waits_s)
    cpu_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    at_95_s = waits_s[round(0.95 * (count - 1))]
    seconds = f"{statistics.median(waits_s):.2f} s | {at_95_s:.2f} s | {waits_s[-1]:.2f} s | {max(after_s):.3f} s"
    return f"| {drain_ms} ms | {seconds} | {promised_s:.2f} s | {above} | {cpu_s:.1f} s |"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
