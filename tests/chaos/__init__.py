"""The proofs of docs/reliability.md, as programs: `make faults` runs them all and writes the table.

Each breaks something on purpose, on loopback, with real servers, and measures the agent. The tests run the same code in
a short form.
"""
