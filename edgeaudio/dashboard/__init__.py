"""The dashboard: one page and one address of metrics for all devices of a broker.

A process of its own that knows nothing of the agent but the wire contract (docs/mqtt.md). `service.py` joins the parts.
"""
