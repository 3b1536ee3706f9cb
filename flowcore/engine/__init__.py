"""The engine that runs a plan: flows, chains, borders, slots, threads and counters."""
