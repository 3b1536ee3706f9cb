"""Removal of speech, numbers, names and ids from a recorded call, so that it can be shown and kept as a test.

What makes a fault stays: the form and order of messages, sequence numbers, arrival times, lengths, levels, holds, and
what is wrong with a malformed message.

- `nodes.ringcx.scrub.recording`: a whole file
- `nodes.ringcx.scrub.websocket`, `nodes.ringcx.scrub.grpc`: messages of one transport
- `nodes.ringcx.scrub.noise`: noise in the place of speech
- `nodes.ringcx.scrub.pseudonyms`: fictional values in the place of real ones
"""
