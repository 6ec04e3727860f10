// Ask a question and watch nodes answer.

import { get, session, stream } from "../api.js";
import { announce, choice, el, failure, field, heading, pill, prose, state } from "../dom.js";
import { rememberAnswer } from "../spent.js";
import { AGGREGATIONS, MODES, failed, modeName, ms } from "../words.js";
import { answerCard } from "./answer.js";
import { draftCard } from "./draft.js";

export async function askView({ signal }) {
  const { nodes } = await get("/v1/nodes", { signal });
  const results = el("section", { class: "results", "aria-label": "Answer" });
  const form = questionForm((body) => ask(body, results, form, signal));
  if (!nodes.length) {
    return el("div", { class: "view" }, heading("Ask"), state("No node has joined yet",
      "A question is answered by nodes beside their own documents. Enroll the first one to begin.",
      session.may() ? el("a", { class: "button primary", href: "#/nodes" }, "Enroll a node")
        : el("p", { class: "mend" }, "The federation's operator enrolls nodes.")));
  }
  const connected = nodes.filter((node) => node.connected).length;
  const lead = `${connected} of ${nodes.length} ${nodes.length === 1 ? "node is" : "nodes are"} connected. Each answers from its own documents.`;
  return el("div", { class: "view narrow" }, heading("Ask", lead), form,
    connected ? null : el("div", { class: "notice warn" }, el("strong", {}, "Nobody is there to answer"),
      el("p", {}, "All enrolled nodes are disconnected. Start them with ", el("code", {}, "frag node run"), ".")), results);
}

function questionForm(onAsk) {
  const question = el("textarea", { rows: 3, maxlength: 8000, required: true, placeholder: "How long is the waiting time for an MRI?" });
  const modes = session.who.answer_modes;
  const mode = choice(modes.map((name) => [name, modeName(name)]), modes.includes("scrub") ? "scrub" : modes[0]);
  const hint = el("p", { class: "promise-hint" });
  const explain = () => { hint.textContent = MODES[mode.value]?.[1] ?? ""; };
  mode.addEventListener("change", explain);
  explain();
  const merge = choice(AGGREGATIONS, "");
  const deadline = el("input", { type: "number", min: 1, max: 600, step: "any", value: session.who.default_deadline_s });
  const topK = el("input", { type: "number", min: 1, max: 100, value: 5 });
  const keywords = el("input", { type: "checkbox" });
  const submit = el("button", { type: "submit", class: "primary" }, "Ask");
  const form = el("form", { class: "card ask" }, field("Question", question),
    el("div", { class: "ask-row" }, field("Answer mode", mode), submit), hint,
    el("details", {}, el("summary", {}, "More choices"), el("div", { class: "grid3" },
      field("Merge answers by", merge), field("Wait at most (seconds)", deadline), field("Passages per node", topK)),
      el("label", { class: "check" }, keywords, "In mode differentially private: answer from keywords of all nodes")));
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { question: question.value, answer_mode: mode.value, deadline_s: Number(deadline.value), top_k: Number(topK.value) };
    if (merge.value && mode.value !== "consensus") body.aggregation = merge.value;
    if (keywords.checked && mode.value === "dp") body.dp = "keywords";
    onAsk(body);
  });
  return form;
}

async function ask(body, results, form, signal) {
  const submit = form.querySelector("button[type=submit]");
  const stop = new AbortController();
  signal.addEventListener("abort", () => stop.abort());
  submit.disabled = true;
  const board = nodeBoard(() => stop.abort());
  const draft = draftCard();
  results.replaceChildren(draft.node, board.node);
  announce("Asking");
  try {
    let done = null;
    for await (const { name, data } of stream("POST", "/v1/query", { body, signal: stop.signal })) {
      if (name === "routed") board.routed(data);
      else if (name === "node") board.replied(data.node, data.outcome);
      else if (name === "token") draft.written(data);
      else if (name === "settled") draft.settled(data);
      else if (name === "error") throw Object.assign(new Error(data.detail), { what: data.detail, mend: data.mend, failed: data.failed });
      else if (name === "done") done = data;
    }
    if (!done) throw Object.assign(new Error(), { what: "The answer broke off before it was complete.", mend: "Ask again." });
    rememberAnswer(done);
    board.end();
    draft.node.replaceWith(answerCard(done));
    announce(done.answer ? "The answer is here" : "No answer came out");
  } catch (error) {
    board.end();
    if (error.name !== "AbortError") results.replaceChildren(failure(error, failedList(error.failed)));
    else results.replaceChildren(el("div", { class: "notice" }, el("strong", {}, "Stopped"), el("p", {}, "The nodes were told to stop.")));
  } finally {
    submit.disabled = false;
  }
}

function failedList(rows) {
  if (!rows?.length) return null;
  return el("ul", { class: "plain" }, rows.map((row) => el("li", {}, el("strong", {}, row.node), ": ", prose(failed(row.code)))));
}

/** One row a node: waiting until it replies, with how long that took. */
function nodeBoard(onStop) {
  const started = performance.now();
  const list = el("ul", { class: "board" });
  const title = el("h2", {}, "Asking the nodes");
  const stop = el("button", { type: "button", class: "quiet", onclick: onStop }, "Stop");
  const rows = new Map();
  const row = (name, tone, text) => {
    const status = el("span", {}, pill(tone, text)), time = el("span", { class: "time" });
    rows.set(name, { status, time });
    list.append(el("li", {}, el("span", { class: "name" }, name), time, status));
  };
  return {
    node: el("div", { class: "card" }, el("div", { class: "card-head" }, title, stop), list),
    routed(event) {
      event.nodes.forEach((name) => row(name, "busy", "Searching and writing"));
      event.absent.forEach((name) => row(name, "off", "Not connected"));
    },
    replied(name, outcome) {
      if (!rows.has(name)) row(name, "busy", "");
      const [tone, text] = outcome === "answered" ? ["good", "Answered"] : outcome === "withheld" ? ["warn", "Withheld"] : ["bad", "Failed"];
      rows.get(name).status.replaceChildren(pill(tone, text));
      rows.get(name).time.textContent = ms(performance.now() - started);
    },
    end() {
      title.textContent = "How the nodes replied";
      stop.remove();
    },
  };
}
