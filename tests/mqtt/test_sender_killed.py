"""The process killed again and again while the line to the broker is cut and mended (tests/chaos has the long form)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.brokers import BrokerProcess, Subscriber, config_for
from support.cut_line import CutLine
from support.delivery import DETECTION, RunningSender

from edgeaudio.types import Message

CHILD = """
import sys, threading
from pathlib import Path
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message
port, path, run = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
topics, outbox = Topics("edgeaudio", "dock"), Outbox(path)
config = MqttConfig("127.0.0.1", port, "edgeaudio-dock", retry_min_s=0.05, retry_max_s=0.1)
threading.Thread(target=Sender(config, outbox, topics, stop=threading.Event()).run, daemon=True).start()
pause = threading.Event()
for number in range(10**9):
    outbox.add([Message(topics.detection("porch"), f"{run} {number}".encode(), 1)])
    print(number, flush=True)
    pause.wait(0.005)
"""


def test_everything_committed_arrives_in_order_though_the_process_is_killed_and_the_line_cut(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    dice = random.Random(2026)
    broker.start()
    committed: dict[int, int] = {}
    with Subscriber(broker.port, DETECTION) as subscriber, CutLine(broker.port) as line:
        for run in range(6):
            command = [sys.executable, "-c", CHILD, str(line.port), str(tmp_path / "outbox.db"), str(run)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
                assert child.stdout is not None
                child.stdout.readline()
                (line.cut if dice.random() < 0.5 else line.mend)()
                time.sleep(dice.uniform(0.02, 0.4))  # at any moment
                child.send_signal(signal.SIGKILL)
                committed[run] = 1 + len(child.stdout.read().splitlines())
        line.mend()
        with RunningSender(config_for(broker, port=line.port), tmp_path) as running:
            running.wait_empty()
            running.outbox.add([Message(DETECTION, b"last", qos=1)])
            subscriber.wait_for(lambda _: subscriber.of(DETECTION)[-1:] == [b"last"])
        heard = [tuple(map(int, payload.split())) for payload in subscriber.of(DETECTION)[:-1]]
    first_time = list(dict.fromkeys(heard))
    assert first_time == sorted(first_time)
    for run, count in committed.items():
        numbers = [number for found, number in first_time if found == run]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) in {count, count + 1}  # one may have been committed and not yet printed
