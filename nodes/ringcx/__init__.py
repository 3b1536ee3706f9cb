"""RingCX: both transports' protocols, who may call, the call simulator, stand-ins for tests, and its REST API."""
