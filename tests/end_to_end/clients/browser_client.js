// The conversation of tests/test_clients.py in a browser: a function for Playwright's `evaluate`.

async ([address, query]) => {
  const DEADLINE = 15_000;
  const LARGE = 16 * 2 ** 20;

  // Wait for an event; the deadline is an error, and so is another end of the connection.
  const next = (socket, event) =>
    new Promise((resolve, reject) => {
      setTimeout(reject, DEADLINE, new Error(`waited ${DEADLINE} ms for ${event}`));
      socket.addEventListener(event, resolve, { once: true });
      socket.addEventListener("close", ({ code }) => reject(new Error(`closed with ${code}`)), { once: true });
    });

  async function dial(path) {
    const socket = new WebSocket(`${address}${path}?${query}`);
    socket.binaryType = "arraybuffer";
    await next(socket, "open");
    return socket;
  }

  function randomBytes(size) {
    const bytes = new Uint8Array(size);
    // It gives no more at a time.
    for (let begin = 0; begin < size; begin += 65536) crypto.getRandomValues(bytes.subarray(begin, begin + 65536));
    return bytes;
  }

  const isSame = (one, other) =>
    typeof one === "string"
      ? one === other
      : other instanceof ArrayBuffer &&
        one.length === other.byteLength &&
        new Uint8Array(other).every((byte, index) => byte === one[index]);

  async function say(socket, message) {
    socket.send(message);
    const { data } = await next(socket, "message");
    if (!isSame(message, data)) throw new Error(`sent ${message.length}, received ${data.byteLength ?? data.length}`);
  }

  const socket = await dial("/web_socket");
  const extensions = socket.extensions;
  await say(socket, "text: grüße ✓ 🦇");
  await say(socket, "");
  await say(socket, new Uint8Array([0, 255]));
  await say(socket, new Uint8Array(0));
  await say(socket, "x" + "✓".repeat((LARGE - 1) / 3));
  await say(socket, randomBytes(LARGE));
  socket.close(4000, "bye ✓");
  const ours = await next(socket, "close");

  const closed = await dial("/web_socket");
  closed.send("close me");
  const theirs = await next(closed, "close");

  const pinged = await dial("/pinged");
  pinged.send("outlive your pings");
  const { data } = await next(pinged, "message");
  pinged.close();
  await next(pinged, "close");

  return [extensions, ...[ours, theirs].map(({ code, reason, wasClean }) => [code, reason, wasClean]), data];
}
