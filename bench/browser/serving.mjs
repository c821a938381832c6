// serving.mjs: dist/ and files beside it, as a static server would, cross-origin isolated and in ranges.
import { createReadStream, existsSync, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const EMPTY = '<!doctype html><link rel="icon" href="data:,"><title>libbitnet</title>';

function sendFile(request, response, file) {
  const { size } = statSync(file);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = Math.min(size - 1, range?.[2] ? Number(range[2]) : size - 1);
  response.writeHead(range ? 206 : 200, {
    "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream",
    "Content-Length": end - start + 1,
    ...(range && { "Content-Range": `bytes ${start}-${end}/${size}` }),
  });
  createReadStream(file, { start, end }).pipe(response);
}

/** `files` are paths by the name they get; `scripts` are texts. "/" is an empty page. */
export async function servePackage(files = {}, scripts = {}) {
  const server = http.createServer((request, response) => {
    const name = new URL(request.url, "http://localhost").pathname.slice(1);
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (name === "") return response.setHeader("Content-Type", "text/html").end(EMPTY);
    if (scripts[name]) return response.setHeader("Content-Type", "text/javascript").end(scripts[name]);
    const file = files[name] ?? path.join(DIST, path.basename(name));
    if (!existsSync(file)) return response.writeHead(404).end();
    sendFile(request, response, file);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}
