// Never called: server.js names an address of its own, so the sample opens no tunnel.
"use strict";

exports.connect = async () => {
  throw new Error("this stand-in opens no tunnel");
};
