"""From a graph file to a plan: YAML with positions → checked graph → negotiated formats → plan."""
