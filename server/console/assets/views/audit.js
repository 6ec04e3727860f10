// The audit log: administrative acts, chained by hashes.

import { get } from "../api.js";
import { el, heading } from "../dom.js";
import { action, count, when } from "../words.js";

export async function auditView({ signal, refuse }) {
  const body = el("tbody", {});
  const more = el("button", { type: "button" }, "Show older");
  let oldest = 0;
  async function page() {
    const found = await get(`/v1/admin/audit?limit=50${oldest ? `&before=${oldest}` : ""}`, { signal });
    body.append(...found.entries.map((row) => el("tr", {}, el("td", { class: "text" }, when(row.at)), el("td", { class: "text" }, action(row.action)), el("td", { class: "text name" }, row.subject),
      el("td", { class: "text" }, el("code", { title: row.hash }, row.hash.slice(0, 12))))));
    oldest = found.entries.at(-1)?.id ?? oldest;
    more.hidden = !found.more;
    return found;
  }
  more.addEventListener("click", () => page().catch(refuse));
  const found = await page();
  return el("div", { class: "view" }, heading("Audit log", "Administrative acts alone. Questions and answers are never in it."), verdict(found),
    el("section", { class: "card" }, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Entries" }, el("table", { class: "audit" },
      el("thead", {}, el("tr", {}, ["When", "Act", "Subject", "Hash"].map((name) => el("th", { scope: "col", class: "text" }, name)))), body)), more));
}

function verdict(found) {
  return found.intact
    ? el("div", { class: "notice good" }, el("strong", {}, "The chain holds"), el("p", {}, `All ${count(found.num_entries)} entries follow from one another. Note the newest hash elsewhere to see later whether the end was cut off.`))
    : el("div", { class: "notice bad", role: "alert" }, el("strong", {}, `The chain breaks at entry ${found.broken_at}`), el("p", {}, "An entry was changed or removed there. Compare the database with a backup."));
}
