// The audit log: administrative acts, chained by hashes.

import { get } from "../api.js";
import { copyable, dataTable, el, heading } from "../dom.js";
import { action, count, when } from "../words.js";

export async function auditView({ signal, refuse }) {
  const table = dataTable("Entries", [["When", "text"], ["Act", "text"], ["Subject", "text name"], ["Hash", "text long"]], []);
  const more = el("button", { type: "button" }, "Show older");
  let oldest = 0;
  async function page() {
    const found = await get(`/v1/admin/audit?limit=50${oldest ? `&before=${oldest}` : ""}`, { signal });
    table.add(found.entries.map((row) => [when(row.at), action(row.action), row.subject, el("code", {}, row.hash)]));
    oldest = found.entries.at(-1)?.id ?? oldest;
    more.hidden = !found.more;
    return found;
  }
  more.addEventListener("click", () => page().catch(refuse));
  const found = await page();
  return el("div", { class: "view" }, heading("Audit log", "Administrative acts alone. Questions and answers are never in it."), verdict(found),
    el("section", { class: "card" }, table.shown, more));
}

function verdict(found) {
  return found.intact
    ? el("div", { class: "notice good" }, el("strong", {}, "The chain holds"), el("p", {}, `All ${count(found.num_entries)} entries follow from one another. Note the newest hash elsewhere to see later whether the end was cut off.`),
      found.entries.length ? copyable(found.entries[0].hash, "Newest hash") : null)
    : el("div", { class: "notice bad", role: "alert" }, el("strong", {}, `The chain breaks at entry ${found.broken_at}`), el("p", {}, "An entry was changed or removed there. Compare the database with a backup."));
}
