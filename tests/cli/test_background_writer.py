"""A log that nobody reads, or that cannot be written, holds up nobody."""

import contextlib
import io
import os

from flowcore.cli import background_writer
from flowcore.cli.background_writer import BackgroundWriter


def test_everything_is_written_in_order_before_close_returns():
    stream = io.StringIO()
    log = BackgroundWriter(stream)
    for number in range(1000):
        log.write(f"{number}\n")
    log.close()
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(1000))
    assert log.lost == 0


def test_a_pipe_that_nobody_reads_takes_what_it_can_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(background_writer, "MAX_WAITING", 100)
    monkeypatch.setattr(background_writer, "CLOSE_TIMEOUT", 0.05)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)  # what is read below may be less than what the thread still writes
    with os.fdopen(writing, "w") as stream:
        log = BackgroundWriter(stream)
        for _ in range(5000):
            log.write("x" * 999 + "\n")
        log.close()
        assert 5000 - 100 - 66 <= log.lost + 1 <= 5000
        while log._thread.is_alive():
            with contextlib.suppress(BlockingIOError):
                os.read(reading, 1 << 16)
    os.close(reading)


class Full(io.StringIO):
    def flush(self):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_counted_and_raises_nowhere():
    log = BackgroundWriter(Full())
    log.write("one\n")
    log.write("two\n")
    log.close()
    assert log.lost == 2
