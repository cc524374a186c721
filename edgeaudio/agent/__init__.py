"""The agent: wires the three rooms together and owns every thread."""

from edgeaudio.agent.agent import Agent
from edgeaudio.agent.dry_run import dry_run, dry_run_offline

__all__ = ["Agent", "dry_run", "dry_run_offline"]
