"""Marks of the axes: round values, as close as their labels allow.

Owns: which values, and their text. Does not know: pixels; a place on an axis is from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor

from edgeaudio.pictures.frequency_axis import FrequencyAxis

_TIME_STEPS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400),
)
_LINEAR_STEPS_HZ = (50, 100, 200, 500, 1000, 2000, 4000, 5000, 10_000, 20_000, 50_000, 100_000)
_ROUND_HZ = tuple(digit * 10**power for power in range(1, 6) for digit in (1, 2, 5))
_MOST_TICKS = 100
# the picture's beginning on its axis: seconds of the recording, or the aware time of the clock, shown in its zone
Begin = float | datetime


@dataclass(frozen=True, slots=True)
class Tick:
    """A value of an axis, and where it is."""

    place: float
    text: str


def frequency_ticks(axis: FrequencyAxis, room: float) -> list[Tick]:
    """Return ticks in kHz, the lowest first, up to the axis' end; `room`: the least distance of two, a share of 1."""
    if axis.scale == "linear":
        width_hz = axis.high_hz - axis.low_hz
        step = next((step for step in _LINEAR_STEPS_HZ if step / width_hz >= room), axis.high_hz)
        rounds = [index * float(step) for index in range(int(axis.high_hz / step) + 1)]
        values = [axis.low_hz, *(hz for hz in rounds if hz > axis.low_hz)]
    else:
        values = [axis.low_hz, *(float(hz) for hz in _ROUND_HZ if axis.low_hz < hz <= axis.high_hz)]
    kept = [Tick(1.0, _khz(axis.high_hz))]
    for hz in reversed(values):  # both ends have a label, those between where there is room
        place = float(axis.place(hz))
        if kept[-1].place - place >= room and (place >= room or hz == values[0]):
            kept.append(Tick(place, _khz(hz)))
    return kept[::-1]


def _khz(hz: float) -> str:
    return f"{hz / 1000:.4g}"


def time_ticks(duration_s: float, begin: Begin, text_room: Callable[[str], float]) -> list[Tick]:
    """Return ticks of the time, seconds of a recording or of the clock.

    text_room: returns the least distance to the next tick that a text needs, a share of 1.
    """
    return _ticks(duration_s, time_step_s(duration_s, begin, text_room), begin)


def time_step_s(duration_s: float, begin: Begin, text_room: Callable[[str], float]) -> float:
    """Return the seconds from tick to tick; arguments as of `time_ticks`."""
    for step_s in _TIME_STEPS_S:
        if duration_s / step_s > _MOST_TICKS:
            continue
        ticks = _ticks(duration_s, step_s, begin)
        room = max((text_room(tick.text) for tick in ticks), default=0.0)
        if step_s / duration_s >= room or len(ticks) <= 1:
            return step_s
    many = (2.0**power for power in range(40))
    return next(days * 86_400.0 for days in many if duration_s / days / 86_400 < 5)


def first_tick_s(step_s: float, begin: Begin) -> float:
    """Return where the first tick is, seconds after `begin`: ticks are round from midnight on, or from second 0."""
    origin_s = _since_midnight_s(begin) if isinstance(begin, datetime) else begin
    return -origin_s % step_s


def _ticks(duration_s: float, step_s: float, begin: Begin) -> list[Tick]:
    ahead_s = first_tick_s(step_s, begin)
    n_ticks = floor((duration_s - ahead_s) / step_s + 1e-9) + 1
    offsets = [ahead_s + index * step_s for index in range(n_ticks)]
    return [Tick(offset_s / duration_s, time_text(offset_s, step_s, duration_s, begin)) for offset_s in offsets]


def _since_midnight_s(at: datetime) -> float:
    return at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6


def time_text(offset_s: float, step_s: float, duration_s: float, begin: Begin) -> str:
    """Return the text of the tick `offset_s` after `begin`, on an axis of `duration_s` with ticks each `step_s`."""
    decimals = 0 if step_s >= 1 else 1 if step_s >= 0.1 else 2 if step_s >= 0.01 else 3
    if isinstance(begin, datetime):
        # by way of UTC, so that the clock may change to summer time in between
        at = (begin.astimezone(UTC) + timedelta(seconds=offset_s, microseconds=1)).astimezone(begin.tzinfo)
        fraction = f"{at.microsecond / 1e6:.3f}"[1 : 2 + decimals] if decimals else ""
        return f"{at:%H:%M}" if step_s >= 60 else f"{at:%H:%M:%S}{fraction}"
    at_s = round(begin + offset_s, 3)
    if begin + duration_s < 60:
        return f"{at_s:.{decimals}f}"
    minutes, seconds = divmod(at_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    second = f"{seconds:0{decimals + 3 if decimals else 2}.{decimals}f}"
    return f"{hours}:{minutes:02d}:{second}" if begin + duration_s >= 3600 else f"{minutes}:{second}"


def unit_of(duration_s: float, begin: Begin) -> str:
    """Return the unit of the time's ticks; none where their form shows it."""
    if isinstance(begin, datetime):
        return begin.tzname() or ""
    return "s" if begin + duration_s < 60 else ""
