"""`edgeaudio test`: send a detection that is marked as a test, so that an owner sees whether it arrives.

Owns: which agent is asked, and what is told. Does not know: how the agent sends it (agent/command_handler.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeaudio.commands.health import LIMIT_S, find_sockets
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import NoAnswerError, ask
from edgeaudio.redact import mask
from edgeaudio.terminal import say


def send_test(state_dir: Callable[[], Path], source: str, label: str) -> int:
    """Have the running agent send it. Raises EdgeaudioError where it cannot or will not."""
    refusals: list[str] = []
    for socket in find_sockets(state_dir):
        device, error = str(socket), "its agent is of another version; start it again"
        try:
            match ask(socket, LIMIT_S, {"test": {"source": source, "label": label}}):
                case {"device": str(device), "error": None, "taken": bool(taken), "broker": broker, "detail": detail}:
                    _tell(f"{device}: a detection of {label} at {source}", str(broker), str(detail), taken=taken)
                    return 0
                case {"device": str(device), "error": str(error)}:
                    pass
                case {"device": str(device), "stuck": str(stuck)}:
                    error = f"{stuck} has not moved for too long, and nothing was sent"
        except NoAnswerError as unanswered:
            error = str(unanswered)
        refusals.append(f"{device}: {error}")
    raise EdgeaudioError(mask("; ".join(refusals)))


def _tell(what: str, broker: str, detail: str, *, taken: bool) -> None:
    sent = f"{what}, marked as a test, is"
    if taken:
        say(f"{sent} with the broker")
    elif broker == "connected":
        say(f"{sent} in the outbox, and the broker has not acknowledged it yet; `edgeaudio check` says what it refuses")
    else:
        say(mask(f"{sent} in the outbox, and goes out when the broker is back: {broker}{detail and f', {detail}'}"))
