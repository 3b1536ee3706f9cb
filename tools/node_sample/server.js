// Runs the sample on a port of 127.0.0.1, without a tunnel:  node server.js PORT
"use strict";

const { default: run } = require("ev-audio-streaming-transcription");

const port = Number(process.argv[2]);
run(port, "no-key.json", null, `http://127.0.0.1:${port}`);
