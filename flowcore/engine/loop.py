"""The event loop that engines run in."""

import asyncio


def new_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop of uvloop's, or asyncio's where uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
