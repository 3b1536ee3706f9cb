"""``flowcore scrub``: remove speech, numbers, names and ids from a recorded call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowcore.diagnostics import counted
from flowcore.errors import UsageError
from flowcore.files import NewFile, publish
from nodes.ringcx.call_recording import BadRecording, encode
from nodes.ringcx.scrub.recording import scrub as scrub_recording


def scrub(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A file of `flowcore capture` or `flowcore doctor`.", exists=True, dir_okay=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where it goes.", show_default="FILE.scrubbed.…"),
    ] = None,
) -> None:
    """Remove speech, numbers, names and ids from a call.

    The result can be sent with a bug report. Speech becomes noise with the level of each 20 ms; numbers, ids and names
    become fictional ones of the same form, the same in all messages; other texts become letters. What makes a fault
    stays: the form, order and length of messages, sequence numbers, arrival times, levels, and what is wrong with a
    malformed message. `flowcore replay` plays the result, with the same losses. It is the same each time.

    Exit code: 0 done, 2 the file is no recording of a call, or the output cannot be written.
    """
    wanted = output or recording.with_stem(f"{recording.stem}.scrubbed")
    try:
        file = NewFile(wanted, partial=True)
        try:
            count = 0
            for record in scrub_recording(recording):
                file.append(encode(record))
                count += 1
        except BaseException:
            file.path.unlink()
            raise
        finally:
            file.close()
        path = publish(file.path)
    except BadRecording as error:
        raise UsageError(f"{recording} is no recording of a call: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot write {wanted}: {error.strerror}") from error
    typer.echo(f"{path}: {counted(count, 'line')}; look at it before you send it")
