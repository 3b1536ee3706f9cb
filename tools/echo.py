"""Measure how much of an echo is written as words.

    python tools/echo.py                     # the agent speaks, and the customer's channel has the echo
    python tools/echo.py --double-talk       # the customer speaks at the same time: word error rate
    python tools/echo.py --model tiny

The voices are the prompts n to z of prompts.py, each channel goes through mu-law, and the echo through an impulse
response of 6 ms. The last column is the CPU time of ``echo_cancel`` for both directions.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from tools.conditions import cancelled, echo, telephone
from tools.error_rate import error_rate, normalised
from tools.prompts import RATE, Prompt, monologue, prompts
from tools.wer import Recognition

DELAYS = (0.0, 0.02, 0.12, 0.15, 0.3, 0.5)
LEVELS = (-10, -15, -25, -40, -50, -60)


def behind_node(agent: Any, customer: Any) -> tuple[Any, float]:
    """Return the customer's channel behind ``echo_cancel``, and the CPU seconds for a second of the call."""
    before = time.process_time()
    out = cancelled({"agent": agent, "customer": customer})["customer"]
    return out, (time.process_time() - before) / (len(agent) / RATE)


def heard(samples: Any, model: str) -> str:
    """Return the words that ``moonshine`` hears in the samples."""
    if not samples.any():
        return ""
    return Recognition({"use": "moonshine", "model": model}, {"customer": samples}).said("customer")


def single_talk(said: Sequence[Prompt], model: str) -> Iterator[str]:
    """Yield the number of words that the customer did not say, for each delay and level."""
    agent = telephone(monologue(said, 1.0))
    yield f"the agent says {sum(len(normalised(prompt.text).split()) for prompt in said)} words; the customer none"
    for delay in DELAYS:
        for level in LEVELS:
            out, cpu = behind_node(agent, telephone(echo(agent, delay, level)))
            words = len(normalised(heard(out, model)).split())
            yield f"{delay * 1000:4.0f} ms {level:4d} dB  {words:3d} words  {cpu:.4f} CPU s/s"


def double_talk(said: Sequence[Prompt], model: str) -> Iterator[str]:
    """Yield the word error rates of a customer who speaks at the same time as the agent."""
    customer = telephone(monologue(said[::2], 0.6))
    agent = telephone(np.resize(monologue(said[1::2], 0.3), len(customer)))
    spoken = " ".join(prompt.text for prompt in said[::2])
    yield f"no echo:  {100 * error_rate(spoken, heard(customer, model)):.1f} %"
    for level in (-15, -25):
        both = telephone(customer + echo(agent, 0.13, level))
        out, cpu = behind_node(agent, both)
        rates = [100 * error_rate(spoken, heard(samples, model)) for samples in (both, out)]
        yield f"{level} dB:  {rates[0]:.1f} % with the echo, {rates[1]:.1f} % without  {cpu:.4f} CPU s/s"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--double-talk", action="store_true", help="the customer speaks at the same time")
    parser.add_argument("--model", default="base")
    options = parser.parse_args(arguments)
    said = prompts("n", "z")
    rows = double_talk(said[:60], options.model) if options.double_talk else single_talk(said[3:40:3], options.model)
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    main()
