"""What the programs that listen to N streams have in common: a thread a stream, and their counts on request.

Owns: the protocol: for each line on its standard input a program prints what it has heard and scored so far, as JSON;
it ends with its input, so that it never outlives whoever started it. Does not know: how a stream is heard.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable


class Tally:
    """Counts of one stream; one thread writes them."""

    def __init__(self) -> None:
        self.heard_s = 0.0
        self.scored = 0  # clips


def serve(n_streams: int, hear: Callable[[Tally], None]) -> None:
    """Run `hear` in a thread for each stream, and answer until the input ends. An exception ends the process."""
    tallies = [Tally() for _ in range(n_streams)]

    def run(tally: Tally) -> None:
        try:
            hear(tally)
        except BaseException:  # noqa: BLE001 (printed; a contender that lost a stream must not be measured)
            traceback.print_exc()
        os._exit(1)

    for tally in tallies:
        threading.Thread(target=run, args=[tally], daemon=True).start()
    for _ in sys.stdin:
        answer = {"heard_s": [tally.heard_s for tally in tallies], "scored": [tally.scored for tally in tallies]}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # without the interpreter's own end, which threads in C code may crash
