"""The admin API: a port of its own, served by a process of its own, over the control socket of a running flowcore."""
