// Calls to the API, by its service name. The caller's request id travels along, so one id finds a request in both logs.

const BACKEND = process.env.BACKEND_URL ?? "http://backend:8000";
const TIMEOUT_MS = 10_000;

export class BackendError extends Error {}

export async function ask(path, { method = "GET", body, request }) {
  const headers = { "x-request-id": request.id, "x-forwarded-for": request.client };
  if (body) headers["content-type"] = "application/json";
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(BACKEND + path, { method, headers, body: body && JSON.stringify(body), signal });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    throw new BackendError(`${method} ${path}: ${error.cause?.code ?? error.message}`);
  }
}
