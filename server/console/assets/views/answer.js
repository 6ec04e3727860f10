// The answer and what it rests on.

import { el, pill, prose } from "../dom.js";
import { METHODS, failed, modeName, ms, number, reason } from "../words.js";
import { opinion } from "./opinion.js";

export function answerCard(done) {
  return el("article", { class: "card answer" },
    el("div", { class: "card-head" }, el("h2", {}, "Answer"), pill("plain", modeName(done.answer_mode))),
    done.answer ? el("p", { class: "answer-text" }, done.answer) : el("p", { class: "answer-none" }, nothing(done)),
    done.note ? el("p", { class: "note" }, done.note) : null,
    done.answer ? el("p", { class: "how" }, rests(done)) : null,
    done.promise ? el("div", { class: "promise" }, el("h3", {}, "What this mode promises"), el("p", {}, done.promise)) : null,
    opinion(done), masked(done.question), keywords(done), contributions(done), withheld(done), missing(done), timings(done));
}

function nothing(done) {
  if (!done.answered.length && done.withheld.length) return "No answer: every node that replied held its own back. The reasons are below.";
  if (done.answer_mode === "consensus") return "No answer: no statement has enough support.";
  return "No answer came out.";
}

function rests(done) {
  const names = done.answered.filter((view) => view.contributed).map((view) => view.node);
  const how = Object.hasOwn(METHODS, done.aggregation) ? METHODS[done.aggregation] : done.aggregation;
  return names.length ? `Rests on ${names.join(", ")}: ${how}.` : `Put together by: ${how}.`;
}

function masked(question) {
  const kinds = Object.entries(question?.masked ?? {});
  if (!kinds.length) return null;
  return el("p", { class: "note" }, `Nodes saw the question with ${kinds.map(([kind, times]) => `${times} × ${kind}`).join(", ")} masked.`);
}

function keywords(done) {
  if (!done.keywords) return null;
  return el("section", {}, el("h3", {}, "Keywords that stood out of the noise"), done.keywords.length
    ? el("ul", { class: "chips" }, done.keywords.map((word) => el("li", {}, `${word.word} · ${number(word.votes)} votes`)))
    : el("p", { class: "muted" }, "None."),
  el("p", { class: "muted" }, `About ${number(done.noisy_count)} units voted; every figure carries noise of ± ${number(done.noise_deviation)}.`));
}

function contributions(done) {
  if (!done.answered.length) return null;
  return el("section", {}, el("h3", {}, "Who answered"), el("ul", { class: "stack" }, done.answered.map(contribution)));
}

function contribution(view) {
  const facts = [["Score", number(view.score)], ["Prompt", view.prompt_version || "the model as it is"]];
  const redactions = Object.entries(view.redactions);
  if (redactions.length) facts.push(["Masked", redactions.map(([kind, times]) => `${times} × ${kind}`).join(", ")]);
  if (view.epsilon !== null) facts.push(["Privacy", `ε = ${number(view.epsilon)}, δ = ${number(view.delta)}`]);
  for (const [step, took] of Object.entries(view.timings)) facts.push([stepName(step), ms(took)]);
  return el("li", { class: view.contributed ? "part used" : "part" },
    el("div", { class: "part-head" }, el("strong", { class: "name" }, view.node), view.contributed ? pill("good", "In the answer") : pill("plain", "Not used")),
    view.answer ? el("p", { class: "quote" }, view.answer) : el("p", { class: "muted" }, "Its text stays with the coordinator in this mode."),
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    view.citations.length ? el("div", { class: "cites" }, el("h4", {}, "Citations"),
      el("p", { class: "muted" }, "Pseudonyms: only the node knows the documents behind them."),
      el("ul", { class: "chips" }, view.citations.map((cite) => el("li", {}, el("code", {}, cite.document), ` ${number(cite.score, 2)}`)))) : null);
}

const STEPS = { retrieve: "Search", search: "Search", generate: "Writing", release: "Filter", total: "In all", queue: "Queue" };
function stepName(step) {
  const bare = step.replace(/_ms$/, "");
  return Object.hasOwn(STEPS, bare) ? STEPS[bare] : bare.replaceAll("_", " ");
}

function rowsOf(title, rows) {
  return rows.length ? el("section", {}, el("h3", {}, title), el("dl", { class: "reasons" },
    rows.map(([name, text, tone]) => el("div", {}, el("dt", {}, pill(tone, name)), el("dd", {}, prose(text)))))) : null;
}

const withheld = (done) => rowsOf("What was withheld, and why", done.withheld.map((row) => [row.node, reason(row.reason), "warn"]));

const missing = (done) => rowsOf("Who did not reply", [
  ...done.failed.map((row) => [row.node, failed(row.code), "bad"]),
  ...done.not_asked.map((node) => [node, "Not asked: its topics fit less well.", "off"])]);

function timings(done) {
  const { total_ms: total, fanout_ms: fanout, aggregate_ms: merge } = done.timings;
  if (!total) return null;
  return el("p", { class: "timing" }, `${ms(total)} in all`, Number.isFinite(fanout) ? `: nodes ${ms(fanout)}, merging ${ms(merge)}.` : ".");
}
