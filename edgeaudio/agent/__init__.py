"""The agent: it connects the rooms and owns every thread."""

from edgeaudio.agent.agent import Agent
from edgeaudio.agent.dry_run import run_dry, run_dry_offline

__all__ = ["Agent", "run_dry", "run_dry_offline"]
