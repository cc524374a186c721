"""Events as parts of SQL: an onset with its offset, or an offset whose onset is lost.

Owns: which two detections are one event, when it begins, its score. In all of it `d` is the detection that stands for
the event, `ending` its offset, `onset` its onset, `r` its verdict. Does not know: what is asked of events.

The table has detections: an onset and its offset are joined when they are read. They are of one event if they have its
id and source, and the offset is between a day before its onset (a clock that was set) and 31 days behind it.
"""

from __future__ import annotations

from typing import Final

LONGEST_S: Final = 31 * 86_400  # of an event whose onset is lost; as its index has it (migrations.py)


def lost_begin(detection: str) -> str:
    """Return the beginning of an event without an onset, as its index has it: in UTC, without a zone."""
    return f"({detection}.at AT TIME ZONE 'UTC' - make_interval(secs => least({detection}.duration_s, {LONGEST_S})))"


def quarter_of(time: str) -> str:
    """Return the quarter of an hour of a time, since 1970; one without a zone is in UTC."""
    return f"CAST(floor(extract(epoch FROM {time}) / 900) AS integer)"


def _other_half(kind: str, before: int, after: int) -> str:
    """Return the condition that `e` is the onset or the offset of the event of `d`, so many days before and after.

    Found by its id, and not by the index of its source, where a busy one has a month of others in between: that index
    knows no IS NOT DISTINCT FROM.
    """
    return f"""e.id = d.id AND e.kind = '{kind}' AND e.device IS NOT DISTINCT FROM d.device
    AND e.source IS NOT DISTINCT FROM d.source
    AND e.at BETWEEN d.at - interval '{before} days' AND d.at + interval '{after} days'"""


_IS_OFFSET: Final = _other_half("offset", before=1, after=31)
_IS_ONSET: Final = _other_half("onset", before=31, after=1)
LOST_BEGIN: Final = lost_begin("d")
REVIEW: Final = "LEFT JOIN edgeaudio.reviews r ON r.device = d.device AND r.source = d.source AND r.id = d.id"
IS_LOST: Final = f"NOT EXISTS (SELECT FROM edgeaudio.detections e WHERE {_IS_ONSET})"
_HALF: Final = """LEFT JOIN LATERAL (SELECT e.at, e.at_error_s, e.score, e.duration_s FROM edgeaudio.detections e
    WHERE {condition} ORDER BY e.at LIMIT 1) {name} ON true"""
OFFSET: Final = _HALF.format(condition=_IS_OFFSET, name="ending")
ONSET: Final = _HALF.format(condition=_IS_ONSET, name="onset")
SCORE: Final = "greatest(d.score, ending.score)"
