"""Tests of whole graphs, as files: inputs, faults and expected results.

- `flowcore.scenario.model`: the keys of a test file
- `flowcore.scenario.load`: a test file becomes checked tests
- `flowcore.scenario.timeline`: the messages of a call, and faults on their way
- `flowcore.scenario.standin`: a listener that plays these messages, in the place of the graph's
- `flowcore.scenario.outcome`: the result of a run, as plain data
- `flowcore.scenario.compare`: the differences between a result and what was expected
- `flowcore.scenario.run`: one test from beginning to end
"""
