from my_sink import MySink

from flowcore.testing import NodeHarness, silence, tone


def test_my_sink_writes_the_loudest_level_of_each_party(tmp_path):
    sound = [*silence("100ms"), *tone("100ms"), *silence("100ms", track="customer")]
    NodeHarness(MySink, {"path": f"{tmp_path}/{{flow}}.txt"}).push(*sound).end()
    assert (tmp_path / "test-flow.txt").read_text() == "agent -9.0dB\ncustomer -infdB\n"
