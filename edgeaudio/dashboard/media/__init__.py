"""Clips and pictures that agents publish: received, checked, kept within bounds, decoded for browsers that cannot."""
