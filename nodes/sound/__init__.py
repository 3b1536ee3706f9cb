"""Playout of calls on a sound card: buffers between the clocks, the mixer, the device."""
