// Jobs, and the versions that came of them.

import { get, session } from "../api.js";
import { el, heading, pill, state } from "../dom.js";
import { when } from "../words.js";
import { versionsCard } from "./versions.js";

const LOOK_MS = 2000;
const STATES = { queued: ["plain", "Queued"], running: ["busy", "Running"], done: ["good", "Done"], failed: ["bad", "Failed"], cancelled: ["off", "Cancelled"] };
export const statePill = (name) => pill(...(STATES[name] ?? ["plain", name]));
export const ENDED = ["done", "failed", "cancelled"];

export async function trainingView({ signal, refuse }) {
  const list = el("div", {});
  const versions = await versionsCard({ signal, refuse });
  const parts = [heading("Training", "Nodes train a shared prompt on examples that never leave them.",
    session.may("train") ? el("a", { class: "button primary", href: "#/training/new" }, "Start a job") : null)];
  if (session.may("train")) {
    let shown = "";
    const look = async () => {
      const { jobs } = await get("/v1/jobs", { signal });
      const now = JSON.stringify(jobs);
      if (now !== shown) list.replaceChildren(jobs.length ? jobsList(jobs) : none());
      shown = now;
    };
    await look();
    const timer = setInterval(() => look().catch(refuse), LOOK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    parts.push(list);
  } else {
    parts.push(el("div", { class: "notice" }, el("strong", {}, "Your key does not see jobs"), el("p", {}, "It lacks the scope ", el("code", {}, "train"), ". Versions are shown below.")));
  }
  return el("div", { class: "view" }, parts, versions);
}

function none() {
  return state("No job yet", "Nodes that hold a data set of the same name can train together. A node adds one with `frag dataset add`.",
    el("a", { class: "button", href: "#/training/new" }, "Start the first job"));
}

function jobsList(jobs) {
  return el("section", { class: "card" }, el("h2", {}, "Jobs"), el("ul", { class: "rows" }, jobs.toReversed().map((job) => el("li", {},
    el("a", { href: `#/training/${encodeURIComponent(job.job_id)}`, class: "row-link" }, el("span", { class: "name" }, job.job_id),
      el("span", { class: "muted" }, `${job.job.method.kind} on ${job.job.dataset}, ${job.num_rounds} ${job.num_rounds === 1 ? "round" : "rounds"} · ${when(job.created_at)}`)), statePill(job.state)))));
}
