// One line that enrolls a node, and whether it has come.

import { post } from "../api.js";
import { announce, copyable, el, failure, field, pill } from "../dom.js";
import { clock } from "../words.js";

export function enrollCard(known, signal) {
  const name = el("input", { type: "text", required: true, pattern: "[a-z0-9\\-]{1,64}", spellcheck: "false", autocomplete: "off", placeholder: "clinic-a" });
  const operator = el("input", { type: "text", pattern: "[a-z0-9\\-]{0,64}", spellcheck: "false", autocomplete: "off" });
  const url = el("input", { type: "url", required: true, value: location.origin });
  const result = el("div", { class: "enrolled" });
  const form = el("form", { class: "enroll-form" },
    el("div", { class: "grid3" }, field("Name of the node", name, "a–z, 0–9 and hyphen."), field("Operator (optional)", operator, "One that runs several nodes counts once in consensus."),
      field("Address of the coordinator", url, "As the node reaches it.")),
    el("button", { type: "submit", class: "primary" }, "Make the line"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const made = await post("/v1/admin/tokens", { node: name.value, url: url.value.replace(/\/$/, ""), operator: operator.value });
      result.replaceChildren(...line(name.value, made, known, signal));
      announce("The line is ready");
    } catch (error) {
      result.replaceChildren(failure(error));
    }
  });
  return el("section", { class: "card enroll" }, el("h2", {}, "Enroll a node"),
    el("p", { class: "muted" }, "The line is good for one hour and for one node. Pass it on as you would a password."), form, result);
}

function line(name, made, known, signal) {
  const waiting = el("p", { class: "waiting", role: "status" }, pill("busy", `Waiting for ${name}`));
  const before = known().find((node) => node.node === name)?.connected;
  const timer = setInterval(() => {
    if (before || !known().find((node) => node.node === name)?.connected) return;
    clearInterval(timer);
    waiting.replaceChildren(pill("good", `${name} is connected`));
  }, 500);
  signal.addEventListener("abort", () => clearInterval(timer));
  return [el("p", {}, `Paste this where the documents of ${name} are. It ends at ${clock(made.expires_at)}.`),
    copyable(`frag node enroll ${made.token}`, "Enrollment line"), el("p", { class: "muted" }, "Then ", el("code", {}, "frag node ingest"), " and ", el("code", {}, "frag node run"), "."), waiting];
}
