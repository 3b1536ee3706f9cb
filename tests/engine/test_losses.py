from flowcore import Audio, Reason, Transform
from flowcore.engine.losses import Losses
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, Tones, plan, step


class Leaky(Transform[Audio, Audio]):
    """Loses a chunk, leaves one out on purpose, and makes one up for one that is missing."""

    reasons = (
        Reason("spilt", "Lost."),
        Reason("not_wanted", "Left out.", lost=False),
        Reason("missing", "Filled in for what did not come."),
        Reason("comfort", "Noise in a pause.", lost=False),
    )

    def process(self, chunk, emit):
        match chunk.start // 160:
            case 0:
                self.report.dropped("spilt", chunk.seconds)
            case 1:
                self.report.dropped("not_wanted", chunk.seconds)
            case 2:
                self.report.filled("missing", chunk.seconds)
                self.report.filled("comfort", chunk.seconds)
                emit(chunk)
            case 3:
                self.report.dropped("spilt:much", chunk.seconds)


Leaky.name = "leaky"


def test_the_declarations_decide_what_is_a_loss():
    result = run_plan(plan(step("call", Tones), step("leaky", Leaky, "call"), step("end", Keep, "leaky")))
    chunk = {"chunks": 1, "ms": 20.0}
    lost = {"leaky": {"spilt": chunk, "spilt:much": chunk, "missing": {"chunks": 0, "ms": 20.0}}}
    assert result.engine.totals.lost.json() == lost
    assert result.named("flow_closed")[0].data["lost_ms"] == 60


def test_a_failed_branch_loses_what_it_would_have_got():
    Keep.kept.clear()
    steps = [step("call", Tones), step("bad", Keep, "call", fail_at=10, key="bad"), step("good", Keep, "call")]
    result = run_plan(plan(*steps))
    assert result.engine.totals.lost.json() == {"bad": {"node_failed": {"chunks": 40, "ms": 800.0}}}


def test_losses_add_up():
    one, other = Losses(), Losses()
    one.count("wav", "disk_full", 2, 0.25)
    other.count("wav", "disk_full", 1, 0.5)
    other.count("text", "queue_full", 3, 0.0)
    one.add(other)
    assert one.seconds == 0.75
    assert one.json() == {
        "wav": {"disk_full": {"chunks": 3, "ms": 750.0}},
        "text": {"queue_full": {"chunks": 3, "ms": 0.0}},
    }
