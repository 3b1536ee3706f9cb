"""Programs that play many peers of a listener at real-time pace, one file each: see `flowcore.ListenerTools`."""
