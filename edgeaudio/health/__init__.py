"""How the agent and its sources are: states with reasons, numbers, the report, the watchdog."""
