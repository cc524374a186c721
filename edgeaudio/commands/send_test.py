"""`edgeaudio test`: has an agent send a detection that is marked as a test.

Owns: which agent is asked, and the printed result. Does not know: how the agent sends it (agent/command_handler.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeaudio.commands.health import LIMIT_S, find_sockets
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import NoAnswerError, ask
from edgeaudio.redact import mask
from edgeaudio.terminal import print_out


def send_test(state_dir: Callable[[], Path], source: str, label: str) -> int:
    """Have the running agent send a test detection. Raises EdgeaudioError if no agent does."""
    refusals: list[str] = []
    for socket in find_sockets(state_dir):
        device, error = str(socket), "its agent is of another version; start it again"
        try:
            match ask(socket, LIMIT_S, {"test": {"source": source, "label": label}}):
                case {"device": str(device), "error": None, "taken": bool(taken), "broker": broker, "detail": detail}:
                    _print_result(
                        f"{device}: a detection of {label} at {source}", str(broker), str(detail), taken=taken
                    )
                    return 0
                case {"device": str(device), "error": str(error)}:
                    pass
                case {"device": str(device), "stuck": str(stuck)}:
                    error = f"{stuck} makes no progress, and nothing was sent"
        except NoAnswerError as unanswered:
            error = str(unanswered)
        refusals.append(f"{device}: {error}")
    raise EdgeaudioError(mask("; ".join(refusals)))


def _print_result(what: str, broker: str, detail: str, *, taken: bool) -> None:
    sent = f"{what}, marked as a test, is"
    if taken:
        print_out(f"{sent} with the broker")
    elif broker == "connected":
        print_out(
            f"{sent} in the outbox, and the broker has not acknowledged it yet; `edgeaudio check` says what it refuses"
        )
    else:
        print_out(
            mask(f"{sent} in the outbox, and goes out when the broker is back: {broker}{detail and f', {detail}'}")
        )
