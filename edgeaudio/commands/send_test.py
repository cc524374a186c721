"""`edgeaudio test`: send a detection that is marked as a test, so that an owner sees whether it arrives.

Owns: which agent is asked, and what is told. Does not know: how the agent sends it (agent/controls.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeaudio.commands.health import LIMIT_S, find_sockets
from edgeaudio.health.asking import NoAnswerError, ask
from edgeaudio.masking import mask
from edgeaudio.recognise.types import EdgeaudioError
from edgeaudio.terminal import say


def send_test(state_dir: Callable[[], Path], source: str, label: str) -> int:
    """Have the running agent send it. Raises EdgeaudioError where it cannot or will not."""
    refusals: list[str] = []
    for socket in find_sockets(state_dir):
        try:
            answer: Any = ask(socket, LIMIT_S, {"test": {"source": source, "label": label}})
            device, error = str(answer["device"]), answer["error"]
            if error is None:
                _tell(device, source, label, str(answer["broker"]), str(answer["detail"]))
                return 0
        except NoAnswerError as unanswered:
            device, error = str(socket), str(unanswered)
        except (KeyError, TypeError):
            device, error = str(socket), "its agent is of another version; start it again"
        refusals.append(f"{device}: {error}")
    raise EdgeaudioError(mask("; ".join(refusals)))


def _tell(device: str, source: str, label: str, broker: str, detail: str) -> None:
    sent = f"{device}: a detection of {label} at {source}, marked as a test, is"
    if broker == "connected":
        say(f"{sent} with the broker")
    else:
        say(mask(f"{sent} in the outbox, and goes out when the broker is back: {broker}{detail and f', {detail}'}"))
