"""Tests with Node-RED itself: `make test-node-red` installs it; without it nothing is collected."""

from pathlib import Path

from support.brokers import mosquitto

__all__ = ["mosquitto"]

NODE_RED = Path(__file__).parents[2] / "build" / "node-red" / "node_modules" / "node-red" / "red.js"
collect_ignore_glob = [] if NODE_RED.exists() else ["test_*.py"]
