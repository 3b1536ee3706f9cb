"""Speech engines, one file each: Moonshine, Whisper, Google."""
