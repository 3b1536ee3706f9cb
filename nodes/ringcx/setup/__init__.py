"""``flowcore setup``: what to enter in RingCX for a graph, and checks of the public address."""
