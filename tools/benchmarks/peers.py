"""Whether a peer is installed: one that is not is named once, and left out."""

from __future__ import annotations

import functools
import sys
from importlib.util import find_spec


@functools.cache
def installed(module: str) -> bool:
    """True if the module can be imported."""
    if find_spec(module):
        return True
    print(f"(without {module}: it is not installed)", file=sys.stderr)
    return False
