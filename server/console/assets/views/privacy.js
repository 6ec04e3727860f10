// Privacy spent: what nodes state in their answers, and what versions carry.

import { get, session } from "../api.js";
import { dataTable, el, heading, state } from "../dom.js";
import { seenHere } from "../spent.js";
import { MODES, number, when } from "../words.js";

export async function privacyView({ signal }) {
  const [{ prompts }, activity] = await Promise.all([get("/v1/prompts", { signal }), session.may() ? get("/v1/activity", { signal }) : null]);
  return el("div", { class: "view" }, heading("Privacy spent", "ε and δ bound what all answers of a node together may tell of one unit: a person, or a document. Smaller is stronger."),
    answersCard(activity), versionsCard(prompts), modesCard());
}

const table = (heads, rows, label) => dataTable(label, heads.map((title, at) => [title, at ? null : "name"]), rows).shown;

const bound = (row) => (row.epsilon === null ? ["nothing claimed", "–"] : [number(row.epsilon), number(row.delta)]);

function answersCard(activity) {
  const here = seenHere();
  const rows = activity ? activity.nodes.map((row) => ({ ...row, answers: Object.values(row.answered).reduce((a, b) => a + b, 0) })) : here.nodes;
  const scope = activity ? `What nodes stated since the coordinator started (${when(activity.since)}).` : "What nodes stated in the answers of this tab.";
  return el("section", { class: "card" }, el("h2", {}, "By answering"), el("p", { class: "muted" }, scope, " Each node keeps its own durable ledger; ", el("code", {}, "frag node privacy"), " shows it there."),
    rows.length ? table(["Node", "Answers", "ε", "δ"], rows.map((row) => [row.node, row.answers, ...bound(row)]), "Privacy by node")
      : state("Nothing yet", "The table fills with the first answer."));
}

function versionsCard(prompts) {
  const claimed = prompts.filter((row) => Number.isFinite(row.metrics.epsilon));
  return el("section", { class: "card" }, el("h2", {}, "By training"), el("p", { class: "muted" }, "What a version may tell of one unit of the examples that it was trained on."),
    claimed.length ? table(["Version", "ε", "δ"], claimed.map((row) => [row.version, ...bound({ delta: null, ...row.metrics })]), "Privacy by version")
      : state("No version makes a claim", prompts.length ? "None was trained under differential privacy." : "Nothing has been trained."));
}

function modesCard() {
  const modes = session.who.answer_modes.filter((mode) => Object.hasOwn(MODES, mode));
  return el("section", { class: "card" }, el("h2", {}, "What each mode promises"), el("dl", { class: "reasons" },
    modes.map((mode) => el("div", {}, el("dt", {}, el("strong", {}, MODES[mode][0])), el("dd", {}, MODES[mode][1])))));
}
