"""Writes deploy/node-red/notify.js into the function node of deploy/node-red/flow.json.

python -m tools.maintenance.node_red_flow
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy" / "node-red"
FLOW = FOLDER / "flow.json"
FUNCTION = FOLDER / "notify.js"


def with_function(flow: str, function: str) -> str:
    """Return the text of the flow with the function's source in its one function node."""
    nodes = json.loads(flow)
    (node,) = (node for node in nodes if node["type"] == "function")
    node["func"] = function
    return json.dumps(nodes, indent=2) + "\n"


if __name__ == "__main__":
    FLOW.write_text(with_function(FLOW.read_text(), FUNCTION.read_text()))
