"""The agent: wires the three rooms together and owns every thread."""

from edgeaudio.agent.agent import Agent

__all__ = ["Agent"]
