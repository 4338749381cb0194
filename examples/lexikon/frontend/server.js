// Lexikon's pages, rendered on the server: each page asks the backend first. `node server.js`, settings by HOST and PORT.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

import { ask, BackendError } from "./backend.js";
import * as pages from "./pages.js";

const HOST = process.env.HOST ?? "0.0.0.0";
const PORT = Number(process.env.PORT ?? 3000);
const LONGEST_FORM = 10_000;

async function answer(request) {
  const { pathname } = new URL(request.url, "http://localhost");
  const path = pathname.length > 1 ? pathname.replace(/\/$/, "") : pathname;
  if (path === "/register" && request.method === "POST") return register(request);
  if (request.method !== "GET" && request.method !== "HEAD") return { status: 405, ...failed("Not possible", "This page can only be read.") };
  if (path === "/") return { status: 200, body: pages.home((await ask("/api/version", { request })).body) };
  if (path === "/register") return { status: 200, body: pages.registration({}) };
  if (path === "/words") return listWords(request);
  if (path.startsWith("/words/")) return showWord(request, path.slice("/words/".length));
  return { status: 404, ...failed("Not found", "There is no such page.") };
}

async function listWords(request) {
  const found = await ask("/api/words", { request });
  return found.status === 200 ? { status: 200, body: pages.wordList(found.body) } : unexpected(found);
}

async function showWord(request, word) {
  const found = await ask(`/api/words/${word}`, { request });
  if (found.status === 404) return { status: 404, ...failed("Not found", "Nobody has explained this word yet.") };
  return found.status === 200 ? { status: 200, body: pages.wordPage(found.body) } : unexpected(found);
}

async function register(request) {
  const values = Object.fromEntries(new URLSearchParams(await read(request)));
  const made = await ask("/api/auth/register", { method: "POST", body: values, request });
  if (made.status === 201) return { status: 201, body: pages.welcome(made.body) };
  if (made.status === 409) return { status: 409, body: pages.registration({ problem: made.body.detail, values }) };
  if (made.status === 422) return { status: 422, body: pages.registration({ problem: "Please check your details.", values }) };
  return unexpected(made);
}

function unexpected({ status }) {
  throw new BackendError(`the backend answered ${status}`);
}

function failed(title, message) {
  return { body: pages.failure({ title, message }) };
}

async function read(request) {
  let form = "";
  for await (const chunk of request) {
    form += chunk;
    if (form.length > LONGEST_FORM) throw new RangeError("form too long");
  }
  return form;
}

function failureFor(error) {
  if (error instanceof BackendError) return { status: 502, ...failed("Just a moment", "Lexikon is not available right now.") };
  if (error instanceof RangeError) return { status: 413, ...failed("Too long", "That form is too long.") };
  return { status: 500, ...failed("Sorry", "Something went wrong.") };
}

function log(level, message, fields) {
  console.log(JSON.stringify({ timestamp: new Date().toISOString(), level, message, ...fields }));
}

const server = createServer(async (request, response) => {
  const started = performance.now();
  request.id = request.headers["x-request-id"] ?? randomUUID();
  request.client = request.headers["x-forwarded-for"] ?? request.socket.remoteAddress;
  let reason;
  const { status, body } = await answer(request).catch((error) => {
    reason = error.message;
    return failureFor(error);
  });
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "x-request-id": request.id,
  });
  response.end(request.method === "HEAD" ? undefined : body);
  const duration = Math.round(10 * (performance.now() - started)) / 10;
  const fields = { request_id: request.id, method: request.method, path: request.url, status, duration_ms: duration, reason };
  log(status >= 500 ? "ERROR" : "INFO", `${request.method} ${request.url} ${status}`, fields);
});

// The requests under way are answered first; connections that merely rest are closed at once.
process.on("SIGTERM", () => {
  log("INFO", "stopping");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

server.listen(PORT, HOST, () => log("INFO", "ready", { host: HOST, port: PORT }));
