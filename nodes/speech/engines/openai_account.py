"""The account at a service with OpenAI's API: its address, its key, and its errors in plain words."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, model_validator

from flowcore import Config
from flowcore.addresses import is_loopback
from flowcore.speech import OverQuota, Rejected, StreamError, Unavailable

OPENAI = "https://api.openai.com/v1"
CODE = re.compile(r"[a-z]{2,3}")
MAX_QUOTE = 200
"""Characters of the service's own text that are shown."""
REJECTED_STATUSES = (401, 403, 404)
REJECTED_CODES = ("invalid_api_key", "model_not_found")
QUOTA_CODES = ("rate_limit_exceeded", "insufficient_quota")


def _check_language(language: str) -> str:
    if language and not CODE.fullmatch(language):
        short = language.replace("_", "-").partition("-")[0].lower()
        advice = f"write {short}" if CODE.fullmatch(short) else "write it like de"
        raise ValueError(f"{language!r} is no code of ISO 639: {advice}")
    return language


Language = Annotated[str, AfterValidator(_check_language)]


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:  # a port that is no number
        valid = False
    if not valid:
        raise ValueError(f"{url!r} is no address of a service: write it like {OPENAI}")
    return url.rstrip("/")


class AccountConfig(Config):
    """The service and its key."""

    url: Annotated[str, AfterValidator(_check_url)] = OPENAI
    """Address of the service, up to the version of its API: ``http://127.0.0.1:8000/v1`` for a server of your own."""

    key_variable: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; empty for a server that needs none."""

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.key_variable and not self.key:
            raise ValueError(
                f"set {self.key_variable} in the environment to the key of {self.host}, "
                'or key_variable: "" for a server that needs none'
            )
        if self.key_variable and self.url.startswith("http:") and not is_loopback(urlsplit(self.url).hostname or ""):
            raise ValueError(f'the key would travel to {self.host} unencrypted: write https, or key_variable: ""')
        return self

    @property
    def key(self) -> str:
        """The key, without white space around it; empty for none."""
        return os.environ.get(self.key_variable, "").strip() if self.key_variable else ""

    @property
    def host(self) -> str:
        """Host of the service, with the port if the address has one."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def headers(self) -> dict[str, str]:
        """The headers that carry the key."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def error(self, status: int, error: Any) -> StreamError:
        """Return the error for an HTTP status, 0 for none, and the object ``error`` of OpenAI's errors.

        The text never contains the key, of which the service quotes parts.
        """
        fields = error if isinstance(error, dict) else {}
        code = str(fields.get("code") or fields.get("type") or "")
        if status == 401 or code == "invalid_api_key":
            where = f"the key in {self.key_variable}" if self.key_variable else "a request without a key"
            return Rejected(f"{self.host} refuses {where}")
        said = str(fields.get("message") or error or "").replace(self.key or "\0", "…")
        text = ": ".join(filter(None, (self.host, str(status or ""), " ".join(said.split())[:MAX_QUOTE])))
        if code in QUOTA_CODES or status == 429:
            return OverQuota(text)
        if status in REJECTED_STATUSES or code in REJECTED_CODES:
            return Rejected(text)
        return Unavailable(text)


def error_in(body: bytes | str) -> Any:
    """Return what an answer says about its error: OpenAI's object, or the beginning of the text."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:MAX_QUOTE] if isinstance(body, str) else body[:MAX_QUOTE].decode("utf-8", "replace")
    return answer.get("error") or answer.get("detail") or answer if isinstance(answer, dict) else answer
