"""Holdfast: a Byzantine-fault-tolerant exchange and clearing house for crypto options."""

__version__ = "0.1.0"
