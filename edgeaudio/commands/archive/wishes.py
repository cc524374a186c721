"""What the options of `archive plan` and `archive run` say, as the archive's own values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.archive.beginnings import Beginnings, beginnings
from edgeaudio.archive.hearing import Hearing, hearing_of
from edgeaudio.archive.runs import Shard
from edgeaudio.terminal import one_line, print_error
from edgeaudio.types import Channel


@dataclass(frozen=True, slots=True)
class Wishes:
    """Options of a run."""

    recordings: str
    out: str
    zone: str | None
    begins: Path | None
    shard: tuple[int, int]
    model: str
    scores: float | None
    thresholds: Mapping[str, float]
    gate_dbfs: float
    channel: Channel

    def hearing(self) -> Hearing:
        """Return model and settings. Raises EdgeaudioError."""
        return hearing_of(
            self.model,
            gate_dbfs=self.gate_dbfs,
            channel=self.channel,
            scores_floor=self.scores,
            thresholds=dict(self.thresholds),
        )

    def begins_at(self) -> Beginnings:
        """Return what tells when a recording begins. Raises EdgeaudioError for a zone or a table that is wrong."""
        return beginnings(self.zone, self.begins)

    def part(self) -> Shard:
        """Return the part of the archive that is wanted."""
        return Shard(*self.shard)

    def print_unused(self, begins_at: Beginnings) -> None:
        """Say in a line what the table of beginnings says of files that were not found: its name may be mistyped."""
        if unused := begins_at.unused():
            more = f" and {len(unused) - 1:,} more" if len(unused) > 1 else ""
            advice = "paths are those below the folder that is named, such as site/a.wav"
            print_error(f"edgeaudio: {self.begins}: no recording is called {one_line(unused[0])}{more}; {advice}")
