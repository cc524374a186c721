"""Quality of a source's sound: silent, clipping, humming, or fine.

Owns: the limits, and how long a state needs to be entered or left.
Does not know: connections, MQTT, clocks; time comes in with the levels.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeaudio.types import Level, Reason, SourceState

ENTER_S = 10.0  # duration of the evidence before a state is entered
LEAVE_S = 3.0  # time without evidence before a state is left
SILENT_BELOW_DBFS = -90.0
SILENT_UNTIL_DBFS = -80.0
CLIPPING_FROM = 0.01  # share of samples at full scale
CLIPPING_UNTIL = 0.001
HUM_FROM = 0.9  # share of the energy at multiples of the mains frequency
HUM_UNTIL = 0.7


@dataclass(frozen=True, slots=True)
class SignalState:
    """What is wrong with the sound; `state` is LISTENING if nothing is."""

    state: SourceState
    reason: Reason | None
    detail: str


FINE = SignalState(SourceState.LISTENING, None, "")


class SignalMonitor:
    """State of one connection's sound, from all of its levels."""

    def __init__(self) -> None:
        self._now = FINE
        self._next = FINE
        self._next_s = 0.0

    def feed(self, level: Level) -> SignalState:
        """Return the state after one more level."""
        sign = self._sign(level)
        if sign.state == self._now.state and sign.reason == self._now.reason:
            self._next_s = 0.0
            return self._now
        if sign.state != self._next.state or sign.reason != self._next.reason:
            self._next_s = 0.0
        self._next = sign
        self._next_s += level.duration_s
        if self._next_s >= (LEAVE_S if sign is FINE else ENTER_S):
            self._now, self._next_s = sign, 0.0
        return self._now

    def _sign(self, level: Level) -> SignalState:
        """Return the state that this level alone shows; the present state is kept within its hysteresis."""
        state = self._now.state
        if silence := _silence(level, SILENT_UNTIL_DBFS if state is SourceState.SILENT else SILENT_BELOW_DBFS):
            return silence
        if level.clipped_ratio > (CLIPPING_UNTIL if state is SourceState.CLIPPING else CLIPPING_FROM):
            percent = 100 * level.clipped_ratio
            return SignalState(
                SourceState.CLIPPING, Reason.FULL_SCALE, f"{percent:.1f} % of the samples are at full scale"
            )
        if level.hum_ratio > (HUM_UNTIL if state is SourceState.HUM else HUM_FROM):
            return SignalState(
                SourceState.HUM, Reason.MAINS_HUM, f"{100 * level.hum_ratio:.0f} % of the energy is mains hum"
            )
        if level.cancels:
            detail = f"the channels cancel each other out when they are mixed, so channel {level.heard} alone is heard"
            return SignalState(SourceState.LISTENING, Reason.CHANNELS_CANCEL, detail)
        return FINE


def _silence(level: Level, below_dbfs: float) -> SignalState | None:
    """Return why nothing can be recognised at that level; None: it can."""
    if level.rms_dbfs is None:
        return SignalState(SourceState.SILENT, Reason.DIGITAL_SILENCE, "every sample is the same")
    if level.rms_dbfs < below_dbfs:
        return SignalState(SourceState.SILENT, Reason.LOW_LEVEL, f"the level is {level.rms_dbfs:.0f} dBFS")
    if level.cancels and level.heard == "mix":
        detail = "the channels cancel each other out when they are mixed; set channel to the number of one"
        return SignalState(SourceState.SILENT, Reason.CHANNELS_CANCEL, detail)
    return None
