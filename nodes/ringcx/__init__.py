"""RingCX: the protocols of both transports, access control, the call sender and its faults, stand-ins, and the REST API."""
