"""RingCentral's REST API: the streaming profile, which tells RingCX where to stream calls."""
