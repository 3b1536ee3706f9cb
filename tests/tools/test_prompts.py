import numpy as np

from tools.prompts import RATE, Prompt, conversation, monologue, prompts


def said(*lengths: float) -> list[Prompt]:
    return [Prompt(str(n), "", np.full(round(length * RATE), n + 1, np.int16)) for n, length in enumerate(lengths)]


def test_a_monologue_has_silence_around_each_prompt():
    assert [*monologue(said(0.001, 0.002), 0.0005)] == [0] * 4 + [1] * 8 + [0] * 4 + [2] * 16 + [0] * 4


def test_a_conversation_goes_by_turns():
    one, other = conversation(said(1, 2, 1), 0.5)
    assert len(one) == len(other) == 5.5 * RATE
    assert not np.any((one != 0) & (other != 0))
    assert {*np.unique(one)} == {0, 1, 3}
    assert {*np.unique(other)} == {0, 2}


def test_prompts_are_speech_with_its_words():
    tuned, reported = prompts("a", "m"), prompts("n", "z")
    assert len(tuned) > 50
    assert len(reported) > 50
    assert not {prompt.name for prompt in tuned} & {prompt.name for prompt in reported}
    assert all(len(prompt.samples) > RATE and len(prompt.text.split()) > 3 for prompt in (*tuned, *reported))
