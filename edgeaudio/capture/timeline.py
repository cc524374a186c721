"""Timeline of decoded frames: holes, epochs, and the time of each sample.

Owns: telling lost audio from jitter of timestamps and from pauses of the sender; the relation of a stream to the clock,
and the drift of the sender's clock.
Does not know: FFmpeg, samples, UTC. Pure: the caller passes every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# a hole up to this long is filled with silence of its length, so that a source with 10 % packet loss still fills clips;
# a longer one begins a new epoch
MAX_FILL_S = 0.25
# timestamps deviate by rounding (RTMP: 1 ms) and drift; a lost packet is a whole frame or more
_MIN_TOLERANCE_S = 0.005
_MAX_TOLERANCE_S = 0.05
_TOLERANCE_OF_FRAME = 0.6
_JITTER_FACTOR = 1.5
_JITTER_DECAY_PER_S = 0.01
# a hole is a pause of the sender if nothing came for as long as the timestamps say, up to this
_MAX_PAUSE_S = 60.0
_PAUSE_SLACK_S = 0.1
_PAUSE_SHARE = 0.7  # of the hole, in which nothing came
# the silence of a pause is published this late, so that late sound is not taken for a pause
_PAUSE_LAG_S = 0.5
_PAUSE_STEP_S = 0.1
# of sound, before the drift of a clock is known
_DRIFT_AFTER_S = 60.0
# tolerance after a change of format, when FFmpeg interpolates timestamps; those of the container come more often
_COARSE_S = 2.0
# a jump back by more is a restarted stream, not jitter
_RESET_S = 0.5
# the sender's sample clock may drift from its timestamps and from our clock; both drifts are followed at these rates
_PTS_SLEW = 0.001
_CLOCK_SLEW = 0.002
_WINDOW_S = 10.0
# sound that stays this late was lost on the way without a hole in the timestamps
_LATE_S = 1.0
# timestamps that claim more sound than there was time for (a wrong clock rate) are ignored
_CLAIM_FACTOR = 1.04
_CLAIM_SLACK_S = 3.0
_MIN_CLAIM_S = 1.0
# longer than any stream, and than any hole in a recording: such timestamps are ignored
_LONGEST_PTS_S = 1e10
_LONGEST_HOLE_S = 30 * 86400.0
# a larger leap is no such claim: the first RTCP report moves timestamps by any amount, once
_MAX_CLAIM_S = 2.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Placement of one frame in time."""

    new_epoch: bool  # it must not be joined to the frame before
    fill: int  # samples of silence that belong in front of it
    begin_s: float  # of the fill or, without one, of the frame
    quiet: bool = False  # the fill stands for a pause of the sender: nothing is lost


@dataclass(slots=True)
class _TimelineEpoch:
    base_s: float  # of its first sample
    first_pts_s: float | None
    length_s: float = 0.0  # so far, fills included
    drift_s: float = 0.0  # of timestamps against samples, followed slowly
    window_s: float = 0.0  # length of the current window of lateness
    least_late_s: float = float("inf")  # in that window
    late: bool = False  # for a whole window
    moved_s: float = 0.0  # change of base_s while it followed the sender's clock
    followed_s: float = 0.0  # length of the sound meanwhile


class Timeline:
    """Places the frames of one connection, in order.

    Live: `begin_s` is in the clock of `arrival_s`. A frame arrives when its last sample has been
    captured, or later; so the earliest arrivals tell when the stream began, and that estimate
    follows the sender's clock by up to 0.2 %. Not live: `begin_s` counts from the beginning of the
    medium, by its timestamps.

    Lossy: packets may be missing, and short holes are filled. Otherwise timestamps that stray by
    less than MAX_FILL_S are inaccurate (as in Ogg), and nothing is missing.

    Some senders send nothing while it is quiet. Where timestamps go on over a hole, and nothing came for as long as
    that, it is such a pause: silence, of which nothing is lost. Without `reliable` transport packets may have been lost
    as well: then the sound before the hole must have been quiet. Where a sender never pauses (`may_pause`), as in a
    list of segments, a hole is a loss.
    """

    def __init__(
        self,
        *,
        live: bool,
        lossy: bool,
        reliable: bool = True,
        may_pause: bool = True,
        zero_s: float | None = None,
    ) -> None:
        """`zero_s`: the timestamp from which times of a medium count; None: that of the first frame."""
        self.drift_ppm: float | None = None  # how much faster the sender's clock is than ours; None: not known yet
        self._live = live
        self._lossy = lossy
        self._reliable = reliable
        self._pauses_are_possible = self._may_pause = live and may_pause
        self._trusted = True
        self._begun_s: float | None = None  # beginning of the first epoch, if `begin` was called
        self._epoch: _TimelineEpoch | None = None
        self._origin_s = 0.0  # arrival of the connection's first frame
        self._claimed_s = 0.0  # sound since then, by samples and by timestamps
        self._missing_s = 0.0  # of these, what only the timestamps speak of
        self._jitter_s = 0.0
        self._frames_s = 0.0, 0.0  # lengths of the last frame and of this one
        self._arrival_s = 0.0  # of the last frame
        self._paused_s = 0.0  # of silence since the last frame
        self._coarse = False  # timestamps stray by up to _COARSE_S
        self._next_pts_s: float | None = None  # where the last frame ended by its timestamp
        self._media_zero_s = zero_s
        self._begin_s = float("-inf")  # of the last frame
        self._end_s = 0.0

    def place(
        self,
        pts_s: float | None,
        samples: int,
        sample_rate: int,
        arrival_s: float,
        *,
        frame_s: float | None = None,
        after_quiet: Callable[[], bool] = lambda: False,
        after_damage: bool = False,
    ) -> Placement:
        """Place a frame of `samples`; `pts_s` is its timestamp, `arrival_s` when it was had.

        `frame_s`: it is a run of frames, the last of which has this length and came at `arrival_s`. `after_quiet`
        returns whether the frame before it was next to silent; `after_damage`: what came since could not be decoded.
        """
        self._may_pause = self._pauses_are_possible and not after_damage
        duration_s = samples / sample_rate
        self._frames_s = self._frames_s[1], duration_s if frame_s is None else frame_s
        # frames of a run came one after another
        waited_s = arrival_s - duration_s + self._frames_s[1] - self._arrival_s
        if pts_s is not None and abs(pts_s) > _LONGEST_PTS_S:
            pts_s = None
        epoch = self._epoch
        if epoch is not None and self._paused_s > 0:
            return self._resume(epoch, pts_s, duration_s, sample_rate, arrival_s)
        hole_s = None if epoch is None or epoch.late else self._hole(epoch, pts_s, duration_s, arrival_s)
        if epoch is not None and hole_s is None and self._is_pause(pts_s, waited_s, after_quiet=after_quiet):
            return self._resume(epoch, pts_s, duration_s, sample_rate, arrival_s)
        if epoch is None or hole_s is None:
            return self._begin_epoch(pts_s, duration_s, arrival_s)
        fill = round(hole_s * sample_rate)
        self._judge(fill / sample_rate, arrival_s)
        return Placement(
            new_epoch=False,
            fill=fill,
            begin_s=self._advance(epoch, pts_s, fill / sample_rate, duration_s, arrival_s),
            quiet=fill > 0 and self._may_pause and _PAUSE_SHARE * hole_s <= waited_s and after_quiet(),
        )

    def pause(self, now_s: float, sample_rate: int) -> Placement | None:
        """Return the silence that is due by now while a sender pauses, after its last frame. None: not yet."""
        if self._epoch is None:
            self._epoch = _TimelineEpoch(max(now_s - _PAUSE_LAG_S - _PAUSE_STEP_S, self._end_s), None)
            self._end_s = self._epoch.base_s
        due_s = now_s - _PAUSE_LAG_S - self._end_s
        if due_s < _PAUSE_STEP_S:
            return None
        new_epoch = self._epoch.length_s == 0
        fill = int(due_s * sample_rate)
        self._paused_s += fill / sample_rate
        begin_s = self._lengthen(self._epoch, fill / sample_rate)
        return Placement(new_epoch=new_epoch, fill=fill, begin_s=begin_s, quiet=True)

    def begin(self, begin_s: float) -> None:
        """Set the time of the connection's first sample, as far as is known."""
        self._begun_s = begin_s

    def cut(self) -> None:
        """Begin an epoch with the next frame, which has another format.

        Containers stamp only some frames; FFmpeg interpolates the others with the length of the old ones.
        """
        self._epoch = None
        self._coarse = True

    def _begin_epoch(self, pts_s: float | None, duration_s: float, arrival_s: float) -> Placement:
        if self._live:
            base_s = max(arrival_s - duration_s, self._end_s)
            hole_s = 0.0 if pts_s is None or self._next_pts_s is None else pts_s - self._next_pts_s
            # many frames that arrive at once were under way for as long as their timestamps say
            if not self._lossy and 0 < hole_s <= _MAX_PAUSE_S:
                base_s = min(base_s, self._end_s + hole_s)
            if self._claimed_s == 0.0:
                base_s = self._origin_s = arrival_s - duration_s if self._begun_s is None else self._begun_s
        else:
            if self._media_zero_s is None:
                self._media_zero_s = pts_s
            base_s = self._end_s
            if pts_s is not None and self._media_zero_s is not None:
                hole_s = pts_s - self._media_zero_s - base_s
                base_s += hole_s if 0 < hole_s <= _LONGEST_HOLE_S else 0.0
        self._epoch = epoch = _TimelineEpoch(base_s, pts_s)
        return Placement(new_epoch=True, fill=0, begin_s=self._advance(epoch, pts_s, 0.0, duration_s, arrival_s))

    def _is_pause(self, pts_s: float | None, waited_s: float, *, after_quiet: Callable[[], bool]) -> bool:
        """True if the sender has sent nothing since the last frame while its timestamps went on."""
        if not self._may_pause or not self._trusted or pts_s is None or self._next_pts_s is None:
            return False
        hole_s = pts_s - self._next_pts_s
        return (
            MAX_FILL_S < hole_s <= _MAX_PAUSE_S
            and _PAUSE_SHARE * hole_s <= waited_s + _PAUSE_SLACK_S
            and (self._reliable or after_quiet())
        )

    def _resume(
        self, epoch: _TimelineEpoch, pts_s: float | None, duration_s: float, sample_rate: int, arrival_s: float
    ) -> Placement:
        """Continue after a pause; the missing silence is that of the timestamps or, if they stood, of the clock."""
        hole_s = None if pts_s is None or self._next_pts_s is None else pts_s - self._next_pts_s
        missing_s = arrival_s - duration_s - self._end_s
        if hole_s is not None and self._paused_s - _RESET_S <= hole_s <= self._paused_s + _MAX_PAUSE_S:
            missing_s = min(hole_s - self._paused_s, missing_s + _RESET_S)
        fill = round(min(max(missing_s, 0.0), _MAX_PAUSE_S) * sample_rate)
        self._paused_s = 0.0
        epoch.drift_s = 0.0
        epoch.first_pts_s = None if pts_s is None else pts_s - epoch.length_s - fill / sample_rate
        begin_s = self._advance(epoch, pts_s, fill / sample_rate, duration_s, arrival_s)
        return Placement(new_epoch=False, fill=fill, begin_s=begin_s, quiet=True)

    def _hole(self, epoch: _TimelineEpoch, pts_s: float | None, duration_s: float, arrival_s: float) -> float | None:
        """Seconds missing in front of the frame; None: it does not belong to this epoch."""
        if pts_s is None or epoch.first_pts_s is None or not self._trusted:
            return 0.0
        step_s = 0.0 if self._next_pts_s is None else pts_s - self._next_pts_s
        if step_s < -(_COARSE_S if self._coarse else _RESET_S):
            return None
        deviation_s = (pts_s - epoch.first_pts_s) - epoch.length_s
        # a hole is no drift
        slew_s = _PTS_SLEW * (duration_s if step_s < _MIN_TOLERANCE_S else self._frames_s[1])
        epoch.drift_s += min(max(deviation_s - epoch.drift_s, -slew_s), slew_s)
        self._jitter_s = max(self._jitter_s * (1 - _JITTER_DECAY_PER_S * min(duration_s, 1.0)), -step_s)
        # a file loses nothing gradually: only a leap counts
        missing_s = deviation_s - epoch.drift_s if self._lossy else step_s
        if missing_s < -_RESET_S:  # slow timestamps, no reset: follow them
            epoch.drift_s = deviation_s
        tolerance_s = max(self._tolerance_s, _JITTER_FACTOR * self._jitter_s)
        if missing_s <= (max(_COARSE_S, tolerance_s) if self._coarse else tolerance_s):
            return 0.0
        if missing_s <= MAX_FILL_S:
            return missing_s
        if missing_s <= _MAX_CLAIM_S:
            self._judge(missing_s, arrival_s)
        return None

    @property
    def _tolerance_s(self) -> float:
        if not self._lossy:
            return MAX_FILL_S
        # codecs with frames of changing length stamp short ones like long ones
        return min(max(_TOLERANCE_OF_FRAME * max(self._frames_s), _MIN_TOLERANCE_S), _MAX_TOLERANCE_S)

    def _judge(self, missing_s: float, arrival_s: float) -> None:
        """Stop using timestamps once they claim more sound than there was time for."""
        self._claimed_s += missing_s
        self._missing_s += missing_s
        elapsed_s = arrival_s - self._origin_s
        if (
            self._live
            and self._missing_s > _MIN_CLAIM_S
            and self._claimed_s > elapsed_s * _CLAIM_FACTOR + _CLAIM_SLACK_S
        ):
            self._trusted = False

    def _advance(
        self, epoch: _TimelineEpoch, pts_s: float | None, fill_s: float, duration_s: float, arrival_s: float
    ) -> float:
        """Advance by `fill_s` and the frame; return the time at which they begin."""
        length_s = fill_s + duration_s
        self._arrival_s = arrival_s
        self._claimed_s += duration_s
        self._next_pts_s = None if pts_s is None else pts_s + duration_s
        begin_s = self._lengthen(epoch, length_s, arrival_s if self._live else None)
        if epoch.followed_s >= _DRIFT_AFTER_S:
            self.drift_ppm = -1e6 * epoch.moved_s / epoch.followed_s
        return begin_s

    def _lengthen(self, epoch: _TimelineEpoch, length_s: float, arrival_s: float | None = None) -> float:
        """Extend the epoch by `length_s`; return the time at which that begins."""
        epoch.length_s += length_s
        if arrival_s is not None:
            _tie_to_clock(epoch, length_s, arrival_s, lossy=self._lossy)
        # times stand still while the estimate is corrected backwards
        self._begin_s = max(epoch.base_s + epoch.length_s - length_s, self._begin_s)
        self._end_s = self._begin_s + length_s
        return self._begin_s


def _tie_to_clock(epoch: _TimelineEpoch, length_s: float, arrival_s: float, *, lossy: bool) -> None:
    late_s = arrival_s - (epoch.base_s + epoch.length_s)
    settled = epoch.length_s > _WINDOW_S  # before that the beginning is still estimated
    if late_s < 0:
        # sound cannot arrive before it was made: the epoch began earlier than estimated
        epoch.base_s += late_s
        epoch.moved_s += late_s if settled else 0.0
        late_s = 0.0
    epoch.followed_s += length_s if settled else 0.0
    epoch.least_late_s = min(epoch.least_late_s, late_s)
    epoch.window_s += length_s
    if epoch.window_s >= _WINDOW_S:
        epoch.late = lossy and epoch.least_late_s > _LATE_S
        step_s = min(epoch.least_late_s, _CLOCK_SLEW * epoch.window_s)
        epoch.base_s += step_s
        epoch.moved_s += step_s if settled else 0.0
        epoch.window_s = 0.0
        epoch.least_late_s = float("inf")
