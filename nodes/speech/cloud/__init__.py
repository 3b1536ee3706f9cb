"""Recognition by a provider: each party's audio is streamed, and streams roll over without losing a word."""
