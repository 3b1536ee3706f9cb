// Node's ws as a reader of RingCX calls: `node ws_reader.mjs PORT`. Each message is parsed and its audio decoded from
// base64; nothing is done with it. That is less than a recorder does: it is the floor that Node pays for receiving.
// On SIGTERM the counts are printed.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(`${process.env.PEER_MODULES}/`);
const { WebSocketServer } = require("ws");

let messages = 0;
let bytes = 0;
// The documented fast path: no compression, no second look at the text's UTF-8, the addon bufferutil if it is there.
const options = { host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false, skipUTF8Validation: true };
new WebSocketServer(options).on("connection", (socket) => {
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.event === "Media") {
      messages += 1;
      bytes += Buffer.from(message.media, "base64").length;
    }
  });
});

process.on("SIGTERM", () => {
  console.log(JSON.stringify({ messages, bytes }));
  process.exit(0);
});
