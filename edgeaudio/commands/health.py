"""`edgeaudio health`: asks the agents on this machine whether all of their threads move.

Owns: which agents are asked, and the line for each. Does not know: how an agent answers (health/agent_socket.py).

Cameras and a broker that are away are printed, and do not change the exit status: a service manager would restart the
agent for it, which mends neither.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import NAME, NoAnswerError, ask
from edgeaudio.redact import mask
from edgeaudio.runtime_files import find_files
from edgeaudio.terminal import one_line, print_out

LIMIT_S = 10.0
_MAX_LABELS = 5  # that are named


def health(state_dir: Callable[[], Path], *, as_json: bool) -> int:
    """Ask all agents; 0 if each of them moves, else 2. Raises EdgeaudioError if none runs.

    state_dir: reads the settings, which takes longest of all, and is called only if they are needed.
    """
    moving = [_report(socket, as_json=as_json) for socket in find_sockets(state_dir)]  # a list: all report
    return 0 if all(moving) else 2


def find_sockets(state_dir: Callable[[], Path]) -> list[Path]:
    """Return the sockets of all agents on this machine. Raises EdgeaudioError where there is none."""
    sockets = find_files(NAME)
    if not sockets:
        # where an agent may write to nothing else, its runtime directory is its state directory
        beside_the_state = state_dir() / NAME
        if not os.access(beside_the_state, os.F_OK):
            raise EdgeaudioError(
                "no agent runs here, or it belongs to another user, or has another state_dir: see `systemctl status "
                "edgeaudio`, or name its folder in EDGEAUDIO_STATE_DIR"
            )
        sockets = [beside_the_state]
    return sockets


def _report(socket: Path, *, as_json: bool) -> bool:
    """Ask one agent and print its answer; True if it moves."""
    try:
        answer = ask(socket, LIMIT_S)
        stuck, line = _line(answer)
    except NoAnswerError as error:
        answer, stuck, line = {"device": None, "stuck": str(error), "health": None}, True, f"{socket}: {error}"
    print_out(json.dumps(answer) if as_json else mask(one_line(line)))
    return not stuck


def _age_s(at: str) -> float:
    """Return the age of a report: the agent makes one every `health.interval_s`, and when a state changes."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())


def _labels(report: Any, key: str, said: str) -> str:  # noqa: ANN401 (JSON of any shape)
    # a running agent may be of a version that has none
    found = [f"{label} of {name}" for name, each in report["sources"].items() for label in each.get(key, {})]
    more = f" and {len(found) - _MAX_LABELS} more" if len(found) > _MAX_LABELS else ""
    return f"; {said}: {', '.join(found[:_MAX_LABELS])}{more}" if found else ""


def _line(answer: Any) -> tuple[bool, str]:  # noqa: ANN401 (JSON of any shape)
    """Return whether a thread is stuck, and the report in one line. Raises NoAnswerError."""
    try:
        if answer["stuck"] is not None:
            return True, f"{answer['device']}: {answer['stuck']} makes no progress"
        report = answer["health"]
        broker = report["broker"]["state"]
        states = [source["state"] for source in report["sources"].values()]
        sources = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "none"
        sinks = {name: sink["state"] for name, sink in report["sinks"].items()}
        disabled = "".join(f"; sink {name}: {state}" for name, state in sinks.items() if state != "running")
        labels = _labels(report, "snoozed", "snoozed") + _labels(report, "raised", "thresholds raised")
        transcripts = report.get("transcripts") or {"trouble": ""}
        trouble = transcripts["trouble"]
        unheard = f"; {transcripts['waiting']} utterances wait to be transcribed: {trouble}" if trouble else ""
        shard = report.get("shard")
        which = f", shard {int(shard['index'])} of {int(shard['count'])}" if shard else ""
        up_s = report["uptime_s"] + _age_s(report["at"])
        return False, (
            f"{answer['device']}{which}: all threads make progress, version {report['version']}, "
            f"up for {up_s:.0f} s; sources: {sources}; broker: {broker}{disabled}{labels}{unheard}"
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise NoAnswerError("it answers as another version does: ask it by its own, or start it again") from None
