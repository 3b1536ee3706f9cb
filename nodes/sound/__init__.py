"""Playing calls on a sound card: the clocks between, the mixing, the device."""
