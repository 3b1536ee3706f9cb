"""RingCentral's REST API for streaming profiles, which set the address that RingCX streams calls to."""
