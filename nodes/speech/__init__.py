"""Speech engines, for the node `transcribe`."""
