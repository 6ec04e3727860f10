// One job: its curves as rounds come in, what happens, and what it claims.

import { get, post, session, stream } from "../api.js";
import { lineChart } from "../chart.js";
import { dataTable, el, failure, heading } from "../dom.js";
import { METRICS, bytes, number, when } from "../words.js";
import { ENDED, statePill } from "./training.js";

const MAX_LINES = 200, MAX_NAMED = 6, NEWEST = 10;

export async function jobView({ signal, refuse, argument }) {
  const path = `/v1/jobs/${encodeURIComponent(argument)}`;
  const [top, curves, steps, table] = [el("div", {}), el("div", { class: "curves" }), el("ul", { class: "steps" }), el("div", {})];
  const log = el("ol", { class: "log", "aria-label": "Events", tabindex: "0" });
  let all = false;
  async function showAll() {
    all = true;
    await draw();
  }
  async function draw() {
    const job = await get(path, { signal });
    top.replaceChildren(header(job, act));
    curves.replaceChildren(...charts(job));
    table.replaceChildren(roundsTable(job, all ? null : () => showAll().catch(refuse)));
    return job;
  }
  async function act(verb) {
    try {
      await post(`${path}/${verb}`);
      await draw();
      if (verb === "resume") follow();
    } catch (error) { top.append(failure(error)); }
  }
  async function follow() {
    for await (const { name, data } of stream("GET", `${path}/events`, { signal })) {
      if (name === "progress") showStep(steps, data);
      else note(log, name, data);
      if (["round_done", "waiting", "round_started", ...ENDED].includes(name)) await draw();
      if (name === "round_done" || ENDED.includes(name)) steps.replaceChildren();
    }
    await draw();
  }
  const job = await draw();
  if (ENDED.includes(job.state)) note(log, job.state, { detail: job.error });
  else follow().catch(refuse);
  return el("div", { class: "view" }, el("a", { class: "back", href: "#/training" }, "← Training"), top, curves, steps, table,
    el("section", { class: "card" }, el("h2", {}, "Events"), log));
}

function header(job, act) {
  const running = !ENDED.includes(job.state);
  const button = running ? el("button", { type: "button", onclick: () => act("cancel") }, "Cancel")
    : job.state === "done" ? null : el("button", { type: "button", onclick: () => act("resume") }, "Resume");
  const facts = [["Method", job.job.method.kind], ["Data set", job.job.dataset], ["Rounds", `${job.rounds.length} of ${job.num_rounds}`], ["Aggregation", job.job.aggregation.mode], ["Made", when(job.created_at)]];
  if (job.versions.length) facts.push(["Version", job.versions.join(", ")]);
  return el("div", {}, heading(job.job_id, null, session.may("train") ? button : null),
    el("p", { class: "job-state" }, statePill(job.state), job.waiting ? el("span", { class: "muted" }, `Waiting: ${job.waiting}.`) : null),
    job.error ? el("div", { class: "notice bad" }, el("strong", {}, "The job failed"), el("p", {}, job.error)) : null,
    el("dl", { class: "facts wide card" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    job.privacy ? el("div", { class: "promise card" }, el("h2", {}, "What it claims"), el("p", {}, job.privacy)) : null);
}

function points(job, name) {
  return job.rounds.filter((row) => Number.isFinite(row.metrics[name])).map((row) => [row.round, row.metrics[name]]);
}

function charts(job) {
  const lines = (names) => names.map(([name, tone]) => ({ name: METRICS[name], tone, points: points(job, name) }));
  const loss = lines([["loss", "one"], ["held_out_loss", "two"]]), quality = lines([["held_out_f1", "three"], ["held_out_em", "four"]]);
  const shown = [["Loss by round", loss, undefined], ["Quality on held-out examples", quality, [0, 1]]].filter(([, series]) => series.some((line) => line.points.length));
  if (!shown.length) return [el("p", { class: "card muted" }, "The curve begins with the first committed round.")];
  return shown.map(([title, series, bounds]) => el("div", { class: "card" }, lineChart({ title, series, last: job.num_rounds, bounds })));
}

function roundsTable(job, showAll) {
  if (!job.rounds.length) return "";
  const names = Object.keys(METRICS).filter((name) => points(job, name).length);
  const heads = ["Round", ...names.map((name) => METRICS[name]), "Nodes", "Out", "In", "Seconds"].map((title) => [title, title === "Nodes" ? "text name" : null]);
  const short = showAll && job.rounds.length > NEWEST;
  const rows = (short ? job.rounds.slice(-NEWEST) : job.rounds).map((row) => [row.round, ...names.map((name) => number(row.metrics[name])), some(row.nodes), bytes(row.bytes_out), bytes(row.bytes_in), number(row.seconds)]);
  return el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", {}, short ? `The last ${NEWEST} rounds` : "Rounds"),
    short ? el("button", { type: "button", onclick: showAll }, `Show all ${job.rounds.length}`) : null), dataTable("Figures by round", heads, rows).shown);
}

const some = (names) => (names.length > MAX_NAMED ? `${names.slice(0, MAX_NAMED).join(", ")} and ${names.length - MAX_NAMED} more` : names.join(", "));

function showStep(steps, data) {
  const key = String(data.node);
  let row = [...steps.children].find((item) => item.dataset.node === key);
  if (!row) {
    row = el("li", { "data-node": key }, el("span", { class: "name" }, key), el("progress", { max: 1, "aria-label": `Steps of ${key}` }), el("span", { class: "muted" }));
    steps.append(row);
  }
  row.children[1].value = data.num_steps ? data.step / data.num_steps : 0;
  row.children[2].textContent = `step ${data.step} of ${data.num_steps}, loss ${number(data.loss)}`;
}

const EVENTS = {
  starting: () => "Making the first weights", waiting: (data) => `${data.connected} of ${data.needed} nodes are connected`,
  round_started: (data) => `Round ${data.round + 1} began with ${data.nodes.join(", ")}`, round_done: (data) => `Round ${data.round} is committed`,
  round_repeated: (data) => `Round ${data.round + 1} is repeated: ${data.reason}`, round_lost: (data) => `Round ${data.round + 1} is lost: ${data.reason}`,
  node_left_out: (data) => `${data.node} was left out: ${data.reason}`, public_pass: (data) => `Public data, pass ${data.passes}: loss ${data.loss}`,
  halted: (data) => `Halted: ${data.reason}`, done: () => "Done", failed: (data) => `Failed: ${data.detail}`, cancelled: () => "Cancelled",
};

function note(log, name, data) {
  log.append(el("li", {}, Object.hasOwn(EVENTS, name) ? EVENTS[name](data) : name));
  while (log.children.length > MAX_LINES) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}
