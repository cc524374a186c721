"""Sound cards that the kernel has and this process cannot open: a container keeps the /dev/snd that it began with.

Owns: the comparison of the kernel's cards with the device files that there are, and which card a name means.
Does not know: how a card is opened, or what is done about it.
"""

from __future__ import annotations

import re
from pathlib import Path

KERNEL = Path("/sys/class/sound")
DEVICES = Path("/dev/snd")
_CARD = re.compile(r"\bCARD=([\w-]+)|\A(?:plug)?hw:(?!CARD=)([\w-]+)")


class CardNodes:
    """The cards that came while this process ran, and whose device files did not come with them."""

    def __init__(self) -> None:
        self._before = _without_node()

    def lacks(self, device: str) -> bool:
        """True if that card came without a device file.

        Not of one that has lacked it since the process began: it was not given to the container, and another start
        would change nothing.
        """
        named = _CARD.search(device)
        return named is not None and any(
            (named[1] or named[2]) in _names(card) for card in _without_node() - self._before
        )


def _without_node() -> set[str]:
    """Numbers of cards; none where there is no folder for device files at all."""
    if not DEVICES.is_dir():
        return set()
    controls = [path.name for path in KERNEL.glob("controlC*")]
    return {name.removeprefix("controlC") for name in controls if not (DEVICES / name).exists()}


def _names(card: str) -> set[str]:
    try:
        return {card, (KERNEL / f"card{card}" / "id").read_text(errors="replace").strip()}
    except OSError:
        return {card}
