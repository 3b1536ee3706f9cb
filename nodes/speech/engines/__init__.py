"""Speech engines: Moonshine, Whisper, Google."""
