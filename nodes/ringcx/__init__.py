"""RingCX: both transports' protocols, access control, the call sender and its faults, stand-ins, and the REST API."""
