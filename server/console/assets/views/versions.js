// The timeline of versions: what there is, what is live, and going on or back.

import { get, post, session } from "../api.js";
import { announce, el, failure, pill } from "../dom.js";
import { METRICS, bytes, number, when } from "../words.js";

export async function versionsCard({ signal, refuse }) {
  const body = el("div", {});
  const said = el("div", { role: "status" });
  async function draw() {
    const [{ live, prompts }, { promotions }, { timeline }] = await Promise.all([get("/v1/prompts", { signal }), get("/v1/promotions", { signal }), get("/v1/timeline", { signal })]);
    const decisions = new Map(timeline.filter((row) => row.standing).map((row) => [row.version, row]));
    const times = new Map(promotions.map((row) => [row.version, row.at]));
    body.replaceChildren(el("ol", { class: "timeline" }, prompts.toReversed().map((row) => entry(row, times.get(row.version), decisions.get(row.version), act)), asItIs(live, act)),
      promotions.length && session.may("train") && live ? el("button", { type: "button", onclick: () => act("/v1/prompts/rollback") }, "Go back one step") : "");
  }
  async function act(path) {
    try {
      const { live, nodes } = await post(path);
      const late = Object.entries(nodes).filter(([, outcome]) => outcome !== "live");
      const text = `${live || "The model as it is"} is live on ${Object.keys(nodes).length - late.length} of ${Object.keys(nodes).length} nodes.`;
      said.replaceChildren(el("div", { class: late.length ? "notice warn" : "notice good" }, el("strong", {}, text),
        late.map(([node, outcome]) => el("p", {}, `${node}: ${outcome}`))));
      announce(text);
      await draw();
    } catch (error) {
      if (error.status === 401) refuse(error);
      else said.replaceChildren(failure(error));
    }
  }
  await draw();
  return el("section", { class: "card" }, el("h2", {}, "Versions"), el("p", { class: "muted" }, "A promoted version answers on every connected node at once, without a restart."), said, body);
}

function promoteButton(version, label, act) {
  return session.may("train") ? el("button", { type: "button", "aria-label": label, onclick: () => act(`/v1/prompts/${encodeURIComponent(version)}/promote`) }, "Promote") : null;
}

function entry(row, at, decision, act) {
  const figures = Object.entries(row.metrics).filter(([name]) => Object.hasOwn(METRICS, name)).map(([name, value]) => `${METRICS[name]} ${number(value)}`);
  if (Number.isFinite(row.metrics.epsilon)) figures.push(`ε = ${number(row.metrics.epsilon)}`);
  return el("li", { class: row.live ? "live" : "" }, el("div", { class: "version" }, el("strong", { class: "name" }, row.version),
    el("span", { class: "muted" }, [`${row.method}, ${bytes(row.num_bytes)}`, `made ${when(row.created_at)}`, at ? `live from ${when(at)}` : null].filter(Boolean).join(" · ")),
    figures.length ? el("span", { class: "muted" }, figures.join(" · ")) : null,
    decision ? el("span", { class: "muted" }, `${decision.event.replace("_", " ")} by its standing job: ${decision.reason}`) : null),
  row.live ? pill("good", "Live") : promoteButton(row.version, `Promote ${row.version}`, act));
}

function asItIs(live, act) {
  return el("li", { class: live ? "" : "live" }, el("div", { class: "version" }, el("strong", {}, "The model as it is"), el("span", { class: "muted" }, "Nothing trained, nothing written.")),
    live ? promoteButton("none", "Promote the model as it is", act) : pill("good", "Live"));
}
