"""The certificate of the admin port, which is read again when its files change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flowcore.errors import CannotStart
from flowcore.tls import server_context

WATCH_INTERVAL: Final = 30.0
"""Seconds between two looks at the files."""


class ReloadedCertificate:
    """A TLS context for new connections. ``on_failed`` is told why changed files cannot be used; the old ones stay."""

    def __init__(self, cert: Path, key: Path, on_failed: Callable[[str], None]) -> None:
        """Read the files. Raises `CannotStart`."""
        self._files = cert, key
        self._on_failed = on_failed
        self._seen = self._changed_at()
        self.context = server_context(cert, key, ["http/1.1"])

    async def watch(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            self.check()

    def check(self) -> None:
        """Read the files again if they have changed."""
        changed = self._changed_at()
        if changed == self._seen:
            return
        self._seen = changed
        try:
            server_context(*self._files, ["http/1.1"])  # both files must fit before the running context takes them
            self.context.load_cert_chain(*self._files)
        except CannotStart as error:
            self._on_failed(f"the certificate stays as it was: {error}")

    def _changed_at(self) -> list[int]:
        return [path.stat().st_mtime_ns if path.exists() else 0 for path in self._files]
