"""How many examples a property is tried with."""

import os

FEW = os.environ.get("EXAMPLES") == "few"  # where the same properties are tried at length by another run


def examples(count: int) -> int:
    """Return that count, or a tenth of it where few are asked for."""
    return max(5, count // 10) if FEW else count
