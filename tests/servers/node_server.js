// The server of Node's `ws`.
const http = require("http");
const { WebSocketServer } = require("ws");

let seen = "none";
const server = http.createServer();
const wss = new WebSocketServer({
  noServer: true,
  perMessageDeflate: { threshold: 0 },
  maxPayload: 1 << 26,
  handleProtocols: (protocols) => (protocols.has("chat") ? "chat" : false),
});

wss.on("connection", (ws) => {
  ws.on("close", (code, reason) => (seen = `${code} ${reason}`.trim()));
  ws.on("error", () => {});
  ws.on("message", (data, isBinary) => {
    const text = isBinary ? null : data.toString();
    if (text === "subprotocol") ws.send(ws.protocol || "None");
    else if (text === "seen") ws.send(seen);
    else if (text === "die") process.exit(0);
    else if (text !== null && text.startsWith("close ")) {
      const [, code, reason] = text.split(" ");
      ws.close(Number(code), reason);
    } else ws.send(data, { binary: isBinary });
  });
});

server.on("upgrade", (request, socket, head) => {
  if (request.url === "/refuse") {
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    return;
  }
  wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws));
});
// The last argument is the descriptor of a listening socket.
server.listen({ fd: Number(process.argv[2]) });
