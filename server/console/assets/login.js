// Sign in with an API key.

import { session } from "./api.js";
import { el, field } from "./dom.js";

export function loginView(start, message) {
  const key = el("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const form = el("form", { class: "login card" },
    el("h1", {}, "Sign in"),
    el("p", {}, "Ask across documents that stay with their owners."),
    message ? el("div", { class: "notice bad", role: "alert" }, el("strong", {}, message),
      el("p", {}, "Check that the whole key was pasted. A new one comes from ", el("code", {}, "frag coordinator key add NAME"), ".")) : null,
    field("API key", key, "Kept in this tab only, and forgotten when it closes."),
    el("button", { type: "submit", class: "primary" }, "Sign in"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    session.key = key.value.trim();
    form.querySelector("button").disabled = true;
    start();
  });
  queueMicrotask(() => key.focus());
  return el("div", { class: "login-room" }, form);
}
