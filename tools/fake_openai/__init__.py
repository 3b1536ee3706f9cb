"""Fake of OpenAI's transcription, files and realtime sessions, with the limits and errors of the real service.

`FileService` gets a function that turns audio into words. `RealtimeService` understands the artificial language of
`tools.fake_google.words`, whose bytes tell to which word they belong.

::

    with FileService(recognise) as service:  # service.url, service.requests
        ...

``python -m tools.fake_openai --help`` runs both for any client.
"""

from .files import FileService, Request
from .realtime import RealtimeService, SessionLog

__all__ = ["FileService", "RealtimeService", "Request", "SessionLog"]
