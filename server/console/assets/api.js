// The coordinator's HTTP API. The key lives in this tab's session storage and travels in a header, never in an address.

import { readEvents } from "./sse.js";

const KEY = "frag.key";

export const session = {
  get key() { return sessionStorage.getItem(KEY) ?? ""; },
  set key(value) { value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY); },
  who: null,
  may(...scopes) {
    const held = this.who?.scopes ?? [];
    return held.includes("admin") || scopes.some((scope) => held.includes(scope));
  },
};

export class ApiError extends Error {
  constructor(status, body) {
    super(body.detail ?? "The request failed.");
    this.status = status;
    this.code = body.code ?? "unknown";
    this.what = body.detail ?? "The coordinator gave no reason.";
    this.mend = body.mend ?? "";
    this.failed = Array.isArray(body.failed) ? body.failed : [];
  }
}

function unreachable() {
  const error = new ApiError(0, {
    code: "no_connection",
    detail: "The coordinator does not answer.",
    mend: "Check that `frag coordinator run` is running and that this machine reaches it; then try again.",
  });
  error.title = "No connection to the coordinator";
  return error;
}

async function send(method, path, { body, signal, accept } = {}) {
  const headers = { Accept: accept ?? "application/json" };
  if (session.key) headers.Authorization = `Bearer ${session.key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, cache: "no-store", credentials: "omit",
      body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem);
}

export async function call(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : response.json();
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, body, options) => call("POST", path, { ...options, body: body ?? {} });

/** Yields {name, data} of a stream of server-sent events. */
export async function* stream(method, path, options) {
  const response = await send(method, path, { ...options, accept: "text/event-stream" });
  try {
    yield* readEvents(response.body);
  } catch (error) {
    if (error.name === "AbortError" || error instanceof SyntaxError) throw error;
    throw unreachable();
  }
}
