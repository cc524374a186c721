"""A broker for the tests of this folder."""

from support.brokers import broker

__all__ = ["broker"]
