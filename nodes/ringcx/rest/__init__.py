"""RingCentral's REST API: streaming profiles, which set the address that RingCX streams calls to, and running calls."""
