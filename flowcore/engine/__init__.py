"""The engine that runs a plan: flows, chains, borders, slots, threads and counters."""

from flowcore.engine.engine import Engine

__all__ = ["Engine"]
