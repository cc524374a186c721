"""Types for argparse: numbers within bounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return the type of whole numbers from `least` to `most`."""
    return lambda text: int(_number(text, int, least, most, "a whole number"))


def number(least: float, most: float) -> Callable[[str], float]:
    """Return the type of numbers from `least` to `most`."""
    return lambda text: float(_number(text, float, least, most, "a number"))


def _number(text: str, parse: Callable[[str], float], least: float, most: float, kind: str) -> float:
    try:
        value = parse(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not {kind} from {least} to {most}")
    return value
