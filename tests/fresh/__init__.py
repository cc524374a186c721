"""The README's commands on bare machines."""
