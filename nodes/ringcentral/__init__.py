"""RingCentral's REST API: where RingCX is told to which address it streams calls."""
