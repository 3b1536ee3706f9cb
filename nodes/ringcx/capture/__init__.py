"""Captures: the messages of live calls as they came, each in a file that ``flowcore replay`` plays.

- `nodes.ringcx.capture.captures`: which calls are captured
- `nodes.ringcx.capture.call_edge`: where a connection gives its messages
- `nodes.ringcx.capture.capture_file`: the file, written by a thread
- `nodes.ringcx.capture.secret_mask`: what is masked before it is written
"""
