"""Recognition by a provider: each track is streamed, and streams roll over without losing or repeating a word."""
