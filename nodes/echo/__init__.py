"""Echo cancellation: one party's voice that comes back in the channel of the other."""
