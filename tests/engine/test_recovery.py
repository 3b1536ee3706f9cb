from flowcore.engine.bus import Bus
from flowcore.engine.recovery import recover
from flowcore.events import FILE_REPAIRED
from flowcore.testing import run_plan
from nodes.audio import wav
from tests.engine.nodes import Keep, Tones, plan, step
from tests.support.live import Live
from tests.support.phone import stereo


class Untidy(Keep):
    """Finds one thing, then stumbles."""

    events = (FILE_REPAIRED,)

    @classmethod
    def recover(cls, config, report):
        report.event("file_repaired", path="one")
        raise RuntimeError("stumbled")


def test_every_node_recovers_whatever_the_others_do():
    graph = plan(step("tones", Tones), step("a", Untidy, "tones"), step("b", Untidy, "tones"))
    bus, events = Bus(), []
    bus.subscribe(events.append)
    recover(graph, bus)
    bus.deliver()
    assert [(event.name, event.node) for event in events] == [
        ("file_repaired", "a"),
        ("recovery_failed", "a"),
        ("file_repaired", "b"),
        ("recovery_failed", "b"),
    ]


def test_an_engine_recovers_beside_its_calls_without_disturbing_them():
    result = run_plan(plan(step("tones", Tones), step("a", Untidy, "tones")))
    assert [event.data.get("path") for event in result.named("file_repaired")] == ["one"]
    assert not any(flow.failures for flow in result.flows)


def test_a_start_repairs_files_of_the_process_before(tmp_path):
    (tmp_path / "left.wav.part").write_bytes(wav.header("s16", 8000, 2) + bytes(400))
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"]) as live:
        pass
    assert [event.data["path"] for event in live.named("file_repaired")] == [f"{tmp_path}/left.wav"]
    assert len(stereo(tmp_path / "left.wav")) == 100
