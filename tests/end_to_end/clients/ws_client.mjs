// The conversation of tests/test_clients.py with Node's `ws`: `node ws_client.mjs ADDRESS QUERY`.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";

import WebSocket from "ws";

const DEADLINE = 15_000;
const [address, query] = process.argv.slice(2);
const LARGE = 16 * 2 ** 20;

// Wait for an event; the deadline is an error, and so is an "error" of the client.
const next = (client, event) => once(client, event, { signal: AbortSignal.timeout(DEADLINE) });

async function dial(path) {
  const client = new WebSocket(`${address}${path}?${query}`, { handshakeTimeout: DEADLINE });
  await next(client, "open");
  return client;
}

// Wait for the echo of a string or a Buffer; not with assert.equal, which explains 16 MiB for minutes.
async function expectEcho(client, message) {
  const [data, isBinary] = await next(client, "message");
  assert.equal(isBinary, typeof message !== "string");
  assert.ok(data.equals(Buffer.from(message)), `sent ${message.length}, received ${data.length} bytes`);
}

async function say(client, ...pieces) {
  const isBinary = typeof pieces[0] !== "string";
  pieces.forEach((piece, index) => client.send(piece, { binary: isBinary, fin: index === pieces.length - 1 }));
  await expectEcho(client, isBinary ? Buffer.concat(pieces) : pieces.join(""));
}

const client = await dial("/web_socket");
assert.equal(client.extensions, "permessage-deflate");
await say(client, "text: grüße ✓ 🦇");
await say(client, "");
await say(client, Buffer.from([0, 255]));
await say(client, Buffer.alloc(0));
await say(client, "x" + "✓".repeat((LARGE - 1) / 3));
await say(client, randomBytes(LARGE));
await say(client, "in ", "", "several ✓ ", "pieces");
await say(client, randomBytes(3), randomBytes(2 ** 20), Buffer.alloc(0));
client.ping("hello");
assert.deepEqual(await next(client, "pong"), [Buffer.from("hello")]);
client.close(4000, "bye ✓");
assert.deepEqual(await next(client, "close"), [4000, Buffer.from("bye ✓")]);

const closed = await dial("/web_socket");
closed.send("close me");
assert.deepEqual(await next(closed, "close"), [4001, Buffer.from("as you wish")]);

const pinged = await dial("/pinged");
let pings = 0;
pinged.on("ping", () => pings++);
pinged.send("outlive your pings");
assert.equal(String((await next(pinged, "message"))[0]), "alive");
assert.ok(pings > 1, `${pings} pings`);
pinged.close();
await next(pinged, "close");
