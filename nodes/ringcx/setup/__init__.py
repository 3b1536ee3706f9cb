"""``flowcore setup``: instructions for RingCX, for a graph, and checks of its public address."""
