"""`edgeaudio health`: do all parts of the agents on this machine move?

Owns: which agents are asked, and what is told of each. Does not know: how an agent knows (health/agent_socket.py).

Cameras that are away and a broker that refuses are told, and change no exit status: starting the agent anew, which is
what a service manager does for a program that is not well, would mend nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import NAME, NoAnswerError, ask
from edgeaudio.redact import mask
from edgeaudio.runtime_files import find_files
from edgeaudio.terminal import one_line, say

LIMIT_S = 10.0


def health(state_dir: Callable[[], Path], *, as_json: bool) -> int:
    """Ask all agents; 0 if there is one and all of all of them move, else 2. Raises EdgeaudioError where none runs.

    `state_dir` reads the settings, which takes longer than all else; it is called where they are needed.
    """
    moving = [_told(socket, as_json=as_json) for socket in find_sockets(state_dir)]  # each of them is told
    return 0 if all(moving) else 2


def find_sockets(state_dir: Callable[[], Path]) -> list[Path]:
    """Return the sockets of all agents on this machine. Raises EdgeaudioError where there is none."""
    sockets = find_files(NAME)
    if not sockets:
        # where an agent may write to nothing else, its runtime directory is its state directory
        beside_the_state = state_dir() / NAME
        if not os.access(beside_the_state, os.F_OK):
            raise EdgeaudioError("no agent runs here, or it belongs to another user: see `systemctl status edgeaudio`")
        sockets = [beside_the_state]
    return sockets


def _told(socket: Path, *, as_json: bool) -> bool:
    """Ask one agent, print what it says, and tell whether it moves."""
    try:
        answer = ask(socket, LIMIT_S)
        stuck, line = _line(answer)
    except NoAnswerError as error:
        answer, stuck, line = {"device": None, "stuck": str(error), "health": None}, True, f"{socket}: {error}"
    say(json.dumps(answer) if as_json else mask(one_line(line)))
    return not stuck


def _line(answer: Any) -> tuple[bool, str]:  # noqa: ANN401 (as it came)
    """Whether something is stuck, and all in one line. Raises NoAnswerError."""
    try:
        if answer["stuck"] is not None:
            return True, f"{answer['device']}: {answer['stuck']} has not moved for too long"
        report = answer["health"]
        broker = report["broker"]["state"]
        states = [source["state"] for source in report["sources"].values()]
        sources = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "none"
        return False, (
            f"{answer['device']}: all parts move, version {report['version']}, "
            f"up for {report['uptime_s']:.0f} s at {report['at']}; sources: {sources}; broker: {broker}"
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise NoAnswerError("it answers as another version does: ask it by its own, or start it again") from None
