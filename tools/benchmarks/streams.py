"""CPU of a live stream with everything on, of ours, the floor, and two peers; and how it grows with the streams.

Owns: who is compared with whom, and in which order. Does not know: how a contender works.

Ours, the floor and, at one stream, the peers take turns on one core. At ten streams the peers do not fit beside the
others on the other core: each has its rounds alone, right after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec

from support.programs import has_program

from tools.benchmarks.contenders import ROOT, Contender, ContenderError, Cost, agent, costs, program
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import FLOOR, Figure, Growth, Measured, Target
from tools.benchmarks.frigate_way import PERIOD_S as FRIGATES_PERIOD_S
from tools.benchmarks.live_servers import AAC, G711, OPUS, camera, can_run
from tools.benchmarks.peer_interpreter import RUNTIME
from tools.benchmarks.recognition import idle_ms

OURS, AT_ONCE = "edgeaudio", "edgeaudio, latency_ms = 0"
TEXTBOOK, FRIGATES_WAY = "textbook", "Frigate's way"
YAMNET = "yamnet_audio_classifier_with_metadata.tflite"
# models that are not the project's are beside the checkout, or in it
PLACES = tuple(folder / "shared" / "models" for folder in (ROOT, *ROOT.parents))
UNIT = "ms/s"
QUIET_NOISE = 0.0003  # its standard deviation is below the gate
ROUNDS, PEERS_ROUNDS, WINDOW_S = 3, 2, 3.0
MANY = 10
GROWTH = (1, 3, 10, 30, 100)
_OURS = Contender(OURS, agent())
_FLOOR = Contender(FLOOR, program("floor"))
_LIGHT = (_OURS, Contender(AT_ONCE, agent("latency_ms = 0")), _FLOOR)


def textbook() -> Contender | None:
    """Return the textbook pipeline; None, with a printed reason, where it cannot run."""
    if not has_program("ffmpeg") or not find_spec("librosa"):
        print("(without the textbook pipeline: ffmpeg or librosa is not installed)")
        return None
    return Contender(TEXTBOOK, program("textbook"))


def frigates_way() -> Contender | None:
    """Return Frigate's way; None, with a printed reason, where it cannot run."""
    model = next((place / YAMNET for place in PLACES if (place / YAMNET).exists()), None)
    if not has_program("ffmpeg") or model is None:
        print(f"(without Frigate's way: ffmpeg is not installed, or {YAMNET} is not in ../shared/models)")
        return None
    return Contender(FRIGATES_WAY, program("frigate_way", str(model)), FRIGATES_PERIOD_S)


def measure(*, short: bool) -> Iterator[Measured]:
    """Measure each codec at one stream and at ten; in the short form ours and the floor at one stream."""
    if not can_run("streams"):
        return
    with pinned(SERVERS):
        if short:
            yield _figure(AAC, 1, costs([_OURS, _FLOOR], partial(camera, AAC), 1, rounds=2, seconds=WINDOW_S))
            return
        peers = [peer for peer in (textbook(), frigates_way()) if peer]
        points: dict[int, float] = {}
        for codec in (AAC, OPUS, G711):
            # alone, the peers are measured with one codec
            cells = {
                n_streams: _cell(codec, n_streams, peers if n_streams > 1 or codec == AAC else [])
                for n_streams in (1, MANY)
            }
            if codec == AAC:
                points |= {n: n * found[OURS].cpu_ms for n, found in cells.items() if OURS in found}
            for n_streams, found in cells.items():
                yield from _figures(codec, n_streams, found, _bound(cells, n_streams))
        for n_streams in set(GROWTH) - set(points):
            found = _tried([_OURS], AAC, n_streams, 1)
            if OURS in found:
                points[n_streams] = n_streams * found[OURS].cpu_ms
        yield Growth(f"CPU of the agent, {AAC}", "streams", UNIT, tuple(sorted(points.items())))


def _cell(codec: str, n_streams: int, peers: Sequence[Contender]) -> dict[str, Cost]:
    if n_streams == 1:
        return _tried([*_LIGHT, *peers], codec, n_streams, ROUNDS) or _tried(_LIGHT, codec, n_streams, ROUNDS)
    found = _tried(_LIGHT, codec, n_streams, ROUNDS)
    for peer in peers:
        found |= _tried([peer], codec, n_streams, PEERS_ROUNDS)
    return found


def _tried(contenders: Sequence[Contender], codec: str, n_streams: int, rounds: int) -> dict[str, Cost]:
    """Return the costs; nothing, with a printed reason, where they cannot be measured."""
    try:
        return costs(contenders, partial(camera, codec), n_streams, rounds=rounds, seconds=WINDOW_S)
    except ContenderError as error:
        names = ", ".join(each.name for each in contenders)
        print(f"(without {names}, {n_streams} streams: {str(error).splitlines()[0]})")
        return {}


def _bound(cells: dict[int, dict[str, Cost]], n_streams: int) -> str:
    """Return what the agent takes whatever the number of streams, from the costs at one and at many."""
    if not all(OURS in found for found in cells.values()):
        return ""
    one_ms, many_ms = (n_streams * cells[n_streams][OURS].cpu_ms for n_streams in (1, MANY))
    a_stream_ms = (many_ms - one_ms) / (MANY - 1)
    alone = f"{(one_ms - a_stream_ms) / n_streams:.1f} ms/s"
    if n_streams == 1:
        return f"{alone} are the agent's, whatever the number of streams"
    levels_ms = idle_ms(QUIET_NOISE, n_channels=1)
    mine = f"{alone} are a stream's share of what the agent takes for any number of them"
    return f"{mine}; levels, hum and resampling take {levels_ms:.1f} a channel"


def _figures(codec: str, n_streams: int, found: dict[str, Cost], note: str) -> Iterator[Measured]:
    if OURS not in found:
        return
    yield _figure(codec, n_streams, found, note)
    if n_streams == MANY and TEXTBOOK in found:
        cpu = {TEXTBOOK: found[TEXTBOOK].cpu_ms}
        name = f"the same beside the textbook pipeline, {codec}"
        note = f"the textbook's interpreter is {RUNTIME}'s"
        if FLOOR in found:
            note = f"even the floor takes {found[FLOOR].cpu_ms / found[TEXTBOOK].cpu_ms:.2f} of it; {note}"
        yield Figure(name, UNIT, found[OURS].cpu_ms, cpu, Target(0.1, TEXTBOOK), note)


def _figure(codec: str, n_streams: int, found: dict[str, Cost], note: str = "") -> Figure:
    others = {name: cost.cpu_ms for name, cost in found.items() if name != OURS}
    several = f"{n_streams} at once" if n_streams > 1 else "alone"
    return Figure(f"CPU of a stream, {codec}, {several}", UNIT, found[OURS].cpu_ms, others, Target(1.4, FLOOR), note)
