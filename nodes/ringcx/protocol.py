"""RingCX call streaming "AgentSession 1.0.0" without any I/O: what the messages mean and which may come when.

`parse` turns one message into an event, or raises `BadMessage` and nothing else, whatever the bytes. `Call` holds the
state of one connection: all of it is in one table. `Caller` writes the messages that RingCX would send.

Two dialects are in use, so events are matched without case and fields without case and underscores: ``callId`` and
``call_id``, ``Start`` and ``START``. Nothing here is known of the secret's place, nor needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec

from flowcore import BadMessage, Packet

RATE = 8000
"""Samples a second of each party; mu-law has one byte a sample."""

TRACKS = {"Participant": "agent", "Conference": "customer"}
"""The conference is the caller and every other leg of the call."""

STOP_QUIET = 2.0
"""Seconds without media after the first Stop that end a call: the other party's Stop may never come."""

PATIENCE = 16
"""So many bad messages in a row mean that the peer does not speak this protocol."""

DOUBT = 100
"""So many bad messages in all, and more than half of what came, mean that it speaks it too badly: decision 13."""

TEXT_LIMIT = 256
"""Characters of an attribute that are kept."""

FIELD_LIMIT = 32
"""Attributes without a known name that are kept of one message or query."""

_NAMES = {
    "callid": "call_id",
    "uii": "call_id",
    "sessionid": "session_id",
    "ani": "ani",
    "dnis": "dnis",
    "accountid": "account_id",
    "evaccountid": "account_id",
    "subaccountid": "sub_account_id",
    "evsubaccountid": "sub_account_id",
    "rcaccountid": "rc_account_id",
    "rcofficeaccountid": "rc_account_id",
    "agentid": "agent_id",
    "producttype": "product_type",
    "productid": "product_id",
}
_MULAW = {"", "audio/x-mulaw", "audio/mulaw", "audio/pcmu", "audio/basic", "mulaw", "x-mulaw", "pcmu", "ulaw"}


class Broken(BadMessage):
    """The call cannot go on: close the connection with ``code``."""

    def __init__(self, code: int, reason: str, detail: str = "") -> None:
        self.code = code
        super().__init__(reason, detail)


class Connected(msgspec.Struct, frozen=True):
    """The first message of a connection."""


class Start(msgspec.Struct, frozen=True):
    """The call's metadata: ``attributes`` by the names of this project, and the announced format."""

    attributes: dict[str, str]
    encoding: str
    rate: str


class Media(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="Media"):
    """One party's audio, as RingCX spells it: one decode checks JSON, types and base64 (0.27 us)."""

    perspective: Literal["Participant", "Conference"]
    seq: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = msgspec.field(name="sequenceId")
    data: Annotated[bytes, msgspec.Meta(min_length=1)] = msgspec.field(name="media")


class Stop(msgspec.Struct, frozen=True):
    """One party's audio is over, without saying whose; ``duration`` as announced, presumably in seconds."""

    duration: float | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A whole message of a kind that is not known: the protocol may grow."""


class Ignored(msgspec.Struct, frozen=True):
    """A message that changed nothing; ``reason`` is a short name to count it under, ``seconds`` the audio in it."""

    reason: str
    seconds: float = 0.0


Event = Connected | Start | Media | Stop | Unknown

_decode_media = msgspec.json.Decoder(Media, strict=False).decode  # not strict: sequenceId may be "1" or 1
_decode = msgspec.json.Decoder().decode
_decode_base64 = msgspec.json.Decoder(bytes).decode
_encode = msgspec.json.encode

NOT_MEDIA = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a message that is not RingCX's usual Media."""


def parse(text: bytes) -> Event:
    """One message. Raises `BadMessage` for everything that is none."""
    try:
        return _decode_media(text)
    except NOT_MEDIA:
        return _parse_slowly(text)


def _parse_slowly(text: bytes) -> Event:
    try:
        message = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadMessage("not_json") from None
    except RecursionError:
        raise BadMessage("nested_too_deep") from None
    if not isinstance(message, dict):
        raise BadMessage("not_an_object")
    fields = {_plain(key): value for key, value in message.items()}
    event = fields.pop("event", None)
    if not isinstance(event, str):
        raise BadMessage("no_event")
    metadata = fields.pop("metadata", None)
    if isinstance(metadata, dict):
        fields.update((_plain(key), value) for key, value in metadata.items())
    match event.lower():
        case "media":
            return _media(fields)
        case "start":
            encoding = next(
                (fields[key] for key in ("contenttype", "audiocontenttype", "encoding") if key in fields), ""
            )
            rate = fields.get("sampleratehertz", fields.get("samplerate", RATE))
            return Start(attributes(fields.items(), "start"), _text(encoding), _text(rate))
        case "stop":
            return Stop(_number(fields.get("duration")))
        case "connected":
            return Connected()
    return Unknown()


def _media(fields: Mapping[str, Any]) -> Media:
    perspective = fields.get("perspective")
    perspective = perspective.capitalize() if isinstance(perspective, str) else perspective
    if perspective not in ("Participant", "Conference"):
        raise BadMessage("wrong_perspective")
    seq = fields.get("sequenceid")
    if isinstance(seq, str) and seq.isascii() and seq.isdecimal() and len(seq) <= 18:
        seq = int(seq)
    if type(seq) is not int or not 0 <= seq <= 1 << 62:
        raise BadMessage("wrong_sequence")
    try:
        data = _decode_base64(_encode(fields.get("media")))
    except msgspec.MsgspecError:
        raise BadMessage("wrong_base64") from None
    if not data:
        raise BadMessage("empty_media")
    return Media(perspective, seq, data)  # type: ignore[arg-type]  # checked above


def attributes(pairs: Iterable[tuple[str, object]], origin: str) -> dict[str, str]:
    """What a peer says of a call: known names become ours, others keep theirs behind ``origin``; all of it text.

    Names are matched by their letters and digits, without case: nobody published how the query spells them.
    """
    known: dict[str, str] = {}
    other: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, (str, int, float)):
            name = _NAMES.get("".join(filter(str.isalnum, key)).lower())
            if name:
                known[name] = _text(value)
            elif len(other) < FIELD_LIMIT:
                other[_text(f"{origin}.{key}")] = _text(value)
    return other | known


def _plain(key: str) -> str:
    return key.replace("_", "").lower()


def _text(value: object) -> str:
    # Raw bytes of a query are lone surrogates by now, which no terminal and no file takes.
    return str(value)[:TEXT_LIMIT].encode(errors="replace").decode()


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:  # JSON has integers of any length
        return None


WAITING, OPEN, STOPPING, ENDED = "waiting", "open", "stopping", "ended"

# state: {event: (next state, why the event is ignored)}
_TABLE: dict[str, dict[type[msgspec.Struct], tuple[str, str]]] = {
    WAITING: {
        Connected: (WAITING, ""),
        Start: (OPEN, ""),
        Media: (WAITING, "media_before_start"),
        Stop: (WAITING, "stop_before_start"),
        Unknown: (WAITING, "unknown_event"),
    },
    OPEN: {
        Connected: (OPEN, "late_connected"),
        Start: (OPEN, "second_start"),
        Media: (OPEN, ""),
        Stop: (STOPPING, ""),  # one party's: the other may still speak
        Unknown: (OPEN, "unknown_event"),
    },
    STOPPING: {
        Connected: (STOPPING, "late_connected"),
        Start: (STOPPING, "second_start"),
        Media: (STOPPING, ""),
        Stop: (ENDED, ""),
        Unknown: (STOPPING, "unknown_event"),
    },
    ENDED: {
        Connected: (ENDED, "after_end"),
        Start: (ENDED, "after_end"),
        Media: (ENDED, "after_end"),
        Stop: (ENDED, "after_end"),
        Unknown: (ENDED, "after_end"),
    },
}


class Call:
    """The receiver's side of one connection: feed it messages, it says what they come to.

    ``state`` is ``waiting`` until Start, ``open``, ``stopping`` after the first Stop, ``ended``.
    """

    def __init__(self) -> None:
        self.state = WAITING
        self.announced: float | None = None
        """The longest duration that a Stop announced, presumably in seconds."""
        self._good = 0  # messages so far
        self._bad = 0
        self._row = 0  # bad ones since the last good one
        self._good_before = 0  # good ones when that row began
        self._heard = 0.0
        self._bytes = dict.fromkeys(TRACKS.values(), 0)

    @property
    def seconds(self) -> float:
        """Length of the longer party's audio so far."""
        return max(self._bytes.values()) / RATE

    def receive(self, text: bytes, now: float) -> Packet | Start | Connected | Stop | Ignored:
        """One message that arrived at ``now`` (monotonic seconds).

        A `Packet` and a `Start` are to be acted on. Raises `Broken` when the call cannot go on.
        """
        try:
            media = _decode_media(text)
        except NOT_MEDIA:
            return self._judge(text, now)
        if self.state is not OPEN and self.state is not STOPPING:
            return self._judge(text, now)
        # The table's one frequent row by itself: 100 times a second for each call.
        self._good += 1
        self._heard = now
        track = TRACKS[media.perspective]
        self._bytes[track] += len(media.data)
        return Packet(track, media.seq, media.data, now)

    def _judge(self, text: bytes, now: float) -> Packet | Start | Connected | Stop | Ignored:
        try:
            event = parse(text)
        except BadMessage as bad:
            self._count_bad()
            return Ignored(f"bad_message:{bad.reason}")
        self._good += 1
        self.state, ignored = _TABLE[self.state][type(event)]
        if ignored:
            return Ignored(ignored, len(event.data) / RATE if type(event) is Media else 0.0)
        if type(event) is Media:
            track = TRACKS[event.perspective]
            self._heard = now
            self._bytes[track] += len(event.data)
            return Packet(track, event.seq, event.data, now)
        if type(event) is Start:
            _check_format(event)
        elif type(event) is Stop:
            self._heard = now
            self.announced = max(event.duration or 0.0, self.announced or 0.0) or None
        return event  # type: ignore[return-value]  # no Unknown gets here: the table ignores it in every state

    def _count_bad(self) -> None:
        self._bad += 1
        self._row = self._row + 1 if self._good == self._good_before else 1
        self._good_before = self._good
        if self._row >= PATIENCE:
            raise Broken(1008, "too_many_bad_messages", f"{PATIENCE} messages in a row are none of RingCX")
        if self._bad >= DOUBT and self._bad > self._good:
            raise Broken(1008, "too_many_bad_messages", "most messages are none of RingCX")

    def hold(self, now: float) -> None:
        """Nothing was read until ``now``: that is no silence of the peer."""
        self._heard = now

    def poll(self, now: float) -> str:
        """The state at ``now``: time alone may end a call whose second Stop is missing."""
        if self.state == STOPPING and now - self._heard >= STOP_QUIET:
            self.state = ENDED
        return self.state


def _check_format(start: Start) -> None:
    """Audio of another format would be played at a wrong speed or as noise, so it is refused by name."""
    encoding = start.encoding.partition(";")[0].strip().lower()
    if encoding not in _MULAW or start.rate not in (str(RATE), f"{RATE}.0"):
        raise Broken(1003, "unsupported_format", f"only audio/x-mulaw at {RATE} Hz is taken")


Dialect = Literal["camel", "upper"]
Sequence = Literal["per_track", "shared"]


class Caller:
    """The sender's side: the messages of one call, in either dialect.

    ``camel`` is what the documentation shows today; ``upper`` is that of 2021: ``START``, ``call_id``, ``encoding``.
    ``sequence`` numbers each party's media from 1, or all of them together.
    """

    def __init__(
        self,
        attributes: Mapping[str, str],
        dialect: Dialect = "camel",
        sequence: Sequence = "per_track",
        first: int = 1,
    ) -> None:
        self._attributes = attributes
        self._upper = dialect == "upper"
        self._shared = sequence == "shared"
        self._next = dict.fromkeys(("", *TRACKS.values()), first)

    def asks(self, url: str) -> str:
        """``url`` with what RingCX adds to it: the call in the query, named as in Start, as no names are published."""
        address, _, query = url.partition("?")
        said = urlencode({self._spell(name): value for name, value in self._attributes.items()})
        return f"{address}?{query}&{said}" if query else f"{address}?{said}"

    def connected(self) -> bytes:
        return self._message("Connected", protocol="AgentSession", version="1.0.0")

    def start(self) -> bytes:
        metadata: dict[str, Any] = {self._spell(name): value for name, value in self._attributes.items()}
        if self._upper:
            metadata |= {"encoding": "MULAW", "sample_rate_hertz": RATE}
        else:
            metadata |= {"contentType": "audio/x-mulaw", "sampleRateHertz": RATE}
        return self._message("Start", metadata=metadata)

    def media(self, track: str, data: bytes, seq: int | None = None) -> bytes:
        """One message of ``track`` (``agent`` or ``customer``), numbered if it has no ``seq`` of its own.

        Raises `KeyError` for another track.
        """
        perspective = {"agent": "Participant", "customer": "Conference"}[track]
        if seq is None:
            counter = "" if self._shared else track
            seq = self._next[counter]
            self._next[counter] += 1
        return self._message("Media", perspective=perspective, sequenceId=str(seq), media=data)

    def stop(self, duration: int, end_time: str) -> bytes:
        """``duration`` in seconds, ``end_time`` in ISO 8601."""
        return self._message("Stop", metadata={"duration": duration, "end_time": end_time})

    def _message(self, event: str, **fields: object) -> bytes:
        if self._upper:
            fields = {"sequence_id" if key == "sequenceId" else key: value for key, value in fields.items()}
        return _encode({"event": event.upper() if self._upper else event, **fields})

    def _spell(self, name: str) -> str:
        first, *rest = name.split("_")
        return name if self._upper else first + "".join(word.capitalize() for word in rest)
