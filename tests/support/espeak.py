"""espeak-ng, or in its place, where it is not installed, a program that buzzes instead of speaking.

For tests of what is done with speech; what the voices are needs the real one. Import the fixture in the test's module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import has_program

_STAND_IN = """#!{python}
import array, sys, wave
words = sys.argv[-1].split()
with wave.open(sys.argv[sys.argv.index("-w") + 1], "wb") as file:
    file.setparams((1, 2, 22050, 0, "NONE", None))
    for word in words:
        period = 100 + 7 * (len(word) % 20)
        file.writeframes(array.array("h", [3000 * (n % period > period // 2) for n in range(6000)]).tobytes())
"""


@pytest.fixture(scope="module")
def espeak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have something that reads texts aloud."""
    with pytest.MonkeyPatch.context() as patch:
        if not has_program("espeak-ng"):
            program: Path = tmp_path_factory.mktemp("espeak") / "espeak-ng"
            program.write_text(_STAND_IN.format(python=sys.executable))
            program.chmod(0o755)
            patch.setattr("tools.synth.espeak.PROGRAM", str(program))
        yield
