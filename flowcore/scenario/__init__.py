"""Tests of whole graphs, as files: what comes in, what goes wrong, and what must come of it.

- `flowcore.scenario.model`: what stands in a test file
- `flowcore.scenario.load`: from the file to checked tests
- `flowcore.scenario.standin`: what takes the listener's place, and faults on the way to it
- `flowcore.scenario.outcome`: what a graph did, as plain data
- `flowcore.scenario.compare`: what of it was not expected
- `flowcore.scenario.run`: one test from beginning to end
"""
