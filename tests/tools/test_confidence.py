from flowcore import Text
from tools.confidence import Judged, judge, table


def text(said: str, confidence: float) -> Text:
    return Text("agent", 0, 1, said, True, 0, confidence, uncertain=confidence < 0.5)


def test_each_text_has_its_own_share_of_the_right_words():
    texts = [text("Please enter", 0.9), text("...", 0.5), text("your humble power key", 0.3)]
    assert list(judge("please enter your number pound key", texts, 5.0)) == [
        Judged(5.0, 0.9, False, 2, 2),
        Judged(5.0, 0.3, True, 4, 2),
    ]


def test_a_perfect_calibration_has_no_error():
    lines = list(table([Judged(None, 1.0, False, 8, 8), Judged(None, 0.5, False, 8, 4)]))
    assert lines[:3] == [
        "0.5-0.6     1 texts     8 words  stated 0.50  right 0.50",
        "0.9-1.0     1 texts     8 words  stated 1.00  right 1.00",
        "ECE 0.000",
    ]
    assert "clear  0.750 of the words right, 0 of 2 texts marked" in lines


def test_the_error_is_the_mean_distance_by_words():
    assert "ECE 0.300" in table([Judged(0.0, 0.9, False, 3, 0), Judged(0.0, 0.0, True, 6, 0)])
