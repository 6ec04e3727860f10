// Nodes and their health; enrolling a new one.

import { get, session } from "../api.js";
import { el, heading, pill, state } from "../dom.js";
import { count, modeName, reason } from "../words.js";
import { enrollCard } from "./enroll.js";

const LOOK_MS = 2000;

export async function nodesView({ signal, refuse }) {
  const list = el("div", { class: "cards" });
  const lead = el("p", { class: "lead" });
  let shown = "";
  let known = [];
  async function look() {
    const [{ nodes }, activity] = await Promise.all([get("/v1/nodes", { signal }), session.may() ? get("/v1/activity", { signal }) : null]);
    known = nodes;
    const now = JSON.stringify([nodes, activity?.nodes]);
    if (now === shown) return;
    shown = now;
    lead.textContent = summary(nodes);
    list.replaceChildren(...(nodes.length ? nodes.map((node) => nodeCard(node, activity)) : [empty()]));
  }
  await look();
  const timer = setInterval(() => look().catch(refuse), LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  const head = heading("Nodes", null);
  head.firstChild.append(lead);
  return el("div", { class: "view" }, head, list, session.may() ? enrollCard(() => known, signal) : null);
}

function summary(nodes) {
  const up = nodes.filter((node) => node.connected).length;
  return nodes.length ? `${up} of ${nodes.length} connected.` : "Nobody has joined yet.";
}

function empty() {
  return state("This federation is empty", session.may()
    ? "Enroll the first node below: one line, pasted on the machine that holds the documents."
    : "The federation's operator enrolls nodes.");
}

function nodeCard(node, activity) {
  const did = activity?.nodes.find((entry) => entry.node === node.node);
  const facts = node.connected ? [
    ["Documents", count(node.num_documents)], ["Version", node.version],
    ["Prompt", node.prompt_version || "the model as it is"],
    ["Answers in", node.answer_modes.map(modeName).join(", ") || "no mode"],
    ["Data sets", node.datasets.join(", ") || "none"]] : [];
  return el("article", { class: `card node ${node.connected ? "" : "down"}` },
    el("div", { class: "card-head" }, el("h2", { class: "name" }, node.node), node.connected ? pill("good", "Connected") : pill("bad", "Not connected")),
    node.connected ? null : el("p", {}, "Enrolled, but away. On its machine: ", el("code", {}, "frag node run"), " starts it, ", el("code", {}, "frag node status"), " says what is wrong."),
    el("dl", { class: "facts wide" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    did ? record(did) : null);
}

const sum = (table) => Object.values(table).reduce((total, times) => total + times, 0);

function record(did) {
  const why = Object.entries(did.withheld).sort((a, b) => b[1] - a[1])[0];
  return el("p", { class: "muted record" }, `Since the coordinator started: ${sum(did.answered)} answered, ${sum(did.withheld)} withheld, ${sum(did.failed)} failed.`,
    why ? ` Most often withheld: ${reason(why[0])}` : "");
}
