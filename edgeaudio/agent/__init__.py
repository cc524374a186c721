"""The agent: wires the three rooms together and owns every thread."""

from edgeaudio.agent.agent import Agent
from edgeaudio.agent.dry_run import rehearse, rehearse_offline

__all__ = ["Agent", "rehearse", "rehearse_offline"]
