"""A graph with a test that passes, for tests to break."""

from flowcore.scenario.load import load
from flowcore.scenario.run import run

GRAPH = """\
flowcore: 1
import: [mine.py]
nodes:
  call: {use: ringcx, with: {port: 0}}
  ordered: {use: reorder, from: call}
  voices: {use: decode_mulaw, from: ordered}
  odd: {use: odd, from: voices}
  wav: {use: wav_file, from: odd, with: {path: "{flow}.wav"}}
"""


ODD = '''
from flowcore import EventType, Reason, Sink, Transform, node


@node("odd")
class Odd(Transform):
    """A node that does it right, but for what a test puts in."""

    events = (EventType("odd", "It is odd."),)
    reasons = (Reason("odd", "Odd ones."),)
    count = 0

    def process(self, chunk, emit):
        self.count += 1
        {}


@node("lamp")
class Lamp(Sink):
    """Shine."""

    def process(self, chunk):
        raise RuntimeError("no bulb")
'''


TEST = """\
flowcore: 1
graph: g.yaml
tests:
  it_records:
    input: {agent: [{tone: 2s}], customer: [{silence: 500ms}, {tone: 1500ms, hertz: 300}]}
    expect:
      files:
        "*.wav":
          seconds: 2
          channels: 2
          rate: 8kHz
          levels: [{track: customer, at: 0s, length: 480ms, below: -60dB}]
      nodes: {ordered: {in: 200, out: 4s}}
      events: [{event: flow_opened, at: 0s}, {event: flow_closed, at: 2s}]
      lasts: 3s
"""


def differences(path):
    [scenario] = load(path)
    return run(scenario).differences
