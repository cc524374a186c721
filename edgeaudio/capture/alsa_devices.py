"""Sound cards without device files: a container keeps the /dev/snd of its start, and lacks cards plugged in later."""

from __future__ import annotations

import re
from pathlib import Path

KERNEL = Path("/sys/class/sound")
DEVICES = Path("/dev/snd")
_CARD = re.compile(r"\bCARD=([\w-]+)|\A(?:plug)?hw:(?!CARD=)([\w-]+)")


class CardNodes:
    """Cards plugged in since this was made, and whether they have device files."""

    def __init__(self) -> None:
        self._before = _without_node()

    def lacks(self, device: str) -> bool:
        """True if that card appeared without a device file.

        False for a card that lacked one from the start: the container was not given it, and a restart changes nothing.
        """
        named = _CARD.search(device)
        return named is not None and any(
            (named[1] or named[2]) in _names(card) for card in _without_node() - self._before
        )


def _without_node() -> set[str]:
    """Return the numbers of cards without device files; none if there is no folder for device files."""
    if not DEVICES.is_dir():
        return set()
    controls = [path.name for path in KERNEL.glob("controlC*")]
    return {name.removeprefix("controlC") for name in controls if not (DEVICES / name).exists()}


def _names(card: str) -> set[str]:
    try:
        return {card, (KERNEL / f"card{card}" / "id").read_text(errors="replace").strip()}
    except OSError:
        return {card}
