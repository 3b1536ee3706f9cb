"""Pipecat as a recorder of RingCX calls: ``python pipecat_recorder.py PORT FOLDER RATE``, in an environment of its own.

Built from Pipecat's own guides: a FastAPI WebSocket transport with a serializer for the messages (after the one it
has for Twilio), an `AudioBufferProcessor` with two channels, the whole call written at its end as WAV. The agent is
Pipecat's user (left), the customer its bot (right). What a recorder can do without is switched off, in Pipecat's
favour: debug log, output transport, voice activity detection, turn tracking, RTVI, idle timer; uvicorn runs on uvloop.
"""

import asyncio
import base64
import json
import sys
import wave
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.utils import create_stream_resampler, ulaw_to_pcm
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    UserStartedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

WIRE_RATE = 8000


class RingCXSerializer(FrameSerializer):
    """JSON messages into frames. Nothing is sent back."""

    def __init__(self) -> None:
        super().__init__()
        self.call_id = ""
        self._rate = 0
        self._resamplers = {party: create_stream_resampler() for party in ("Participant", "Conference")}

    async def setup(self, setup: FrameProcessorSetup) -> None:
        self._rate = setup.audio_in_sample_rate

    async def serialize(self, frame: Frame) -> str | bytes | None:
        return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        message = json.loads(data)
        event = message["event"]
        if event == "Media":
            party = message["perspective"]
            coded = base64.b64decode(message["media"])
            audio = await ulaw_to_pcm(coded, WIRE_RATE, self._rate, self._resamplers[party])
            if not audio:  # the resampler is still filling
                return None
            kind = InputAudioRawFrame if party == "Participant" else OutputAudioRawFrame
            return kind(audio=audio, sample_rate=self._rate, num_channels=1)
        # Both parties talk at once here, while Pipecat knows turns: without being told that both speak, the recorder
        # would fill in silence for one whenever two messages of the other come in a row.
        if event == "Connected":
            return UserStartedSpeakingFrame()
        if event == "Start":
            self.call_id = message["metadata"]["callId"]
            return BotStartedSpeakingFrame()
        return None


async def record(websocket: WebSocket, folder: Path, rate: int) -> None:
    serializer = RingCXSerializer()
    params = FastAPIWebsocketParams(audio_in_enabled=True, serializer=serializer)
    transport = FastAPIWebsocketTransport(websocket=websocket, params=params)
    recorder = AudioBufferProcessor(num_channels=2, auto_start_recording=True)
    worker = PipelineWorker(
        Pipeline([transport.input(), recorder]),
        params=PipelineParams(audio_in_sample_rate=rate, audio_out_sample_rate=rate),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )

    @recorder.event_handler("on_audio_data")
    async def on_audio_data(_buffer: object, audio: bytes, sample_rate: int, channels: int) -> None:
        await asyncio.to_thread(write, folder / f"{serializer.call_id}.wav", audio, sample_rate, channels)

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(_transport: object, _client: object) -> None:
        await worker.stop_when_done()  # `cancel`, which the examples call here, would lose what is still queued

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def write(path: Path, audio: bytes, rate: int, channels: int) -> None:
    part = path.with_suffix(".part")
    with wave.open(str(part), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(audio)
    part.rename(path)


def main(port: str, folder: str, rate: str) -> None:
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    app = FastAPI()

    @app.websocket("/")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        await record(websocket, Path(folder), int(rate))

    uvicorn.run(app, host="127.0.0.1", port=int(port), loop="uvloop", log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
