// The token lives in this tab alone. It comes by the form, or behind the # of the address, which no server ever sees.
const KEY = "frag-node-token";
const REFRESH_MS = 5000;
const $ = (id) => document.getElementById(id);

const carried = new URLSearchParams(location.hash.slice(1)).get("token");
if (carried) {
  sessionStorage.setItem(KEY, carried);
  history.replaceState(null, "", location.pathname);
}

class Refused extends Error {
  constructor(status, problem) {
    super([problem.detail, problem.mend].filter(Boolean).join(" ") || `HTTP ${status}`);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Puts rows into a table's body. Where there is no room for columns, each value stands behind the head of its own. */
function fill(body, rows) {
  const heads = [...body.closest("table").tHead.rows[0].cells].map((head) => head.textContent);
  body.replaceChildren(...rows.map((cells) => {
    const line = document.createElement("tr");
    line.setAttribute("role", "row");
    cells.forEach(([text, className], at) => {
      const cell = make("td", text, className ?? "");
      cell.setAttribute("role", "cell");
      cell.dataset.head = heads[at];
      line.append(cell);
    });
    return line;
  }));
}

function listed(counts) {
  const parts = Object.entries(counts).map(([name, number]) => `${name}: ${number}`);
  return parts.length ? parts.join(", ") : "–";
}

function pairs(target, entries) {
  target.replaceChildren(...entries.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

function size(entry) {
  return entry.num_chars ? `${entry.num_chars} characters` : entry.num_bytes ? `${entry.num_bytes} bytes` : "–";
}

function shortTime(at) {
  return new Date(at).toLocaleTimeString([], { hour12: false });
}

function showRelease(release) {
  const state = $("release-state");
  const since = release.since ? ` since ${new Date(release.since).toLocaleString()}` : "";
  const why = release.reason ? ` Reason: ${release.reason}` : "";
  const text = release.stopped ? `Stopped${since}. Nothing leaves this node.${why}` : "Answers leave, as the policy says.";
  if (state.textContent !== text) state.textContent = text;
  state.className = release.stopped ? "bad" : "good";
  $("stop-form").hidden = release.stopped;
  $("resume").hidden = !release.stopped;
}

function showToday(today) {
  pairs($("today"), [
    ["Answers, by mode", listed(today.answers)],
    ["Withheld, by reason", listed(today.withheld)],
    ["Other", listed(today.others)],
    ["Characters of answers", String(today.num_chars)],
    ["Masked on the way", `${today.num_redactions} pieces of personal data`],
    ["Pseudonymous sources", String(today.num_citations)],
    ["Differential privacy", today.epsilon
      ? `at most ε = ${today.epsilon.toFixed(3)} (δ = ${today.delta}) for a unit that took part in all of it`
      : "nothing was spent"],
  ]);
  fill($("newest"), today.newest.map(({ at, entry }) => [
    [shortTime(at)],
    [entry.kind + (entry.reason ? `: ${entry.reason}` : "") + (entry.channel === "sealed" ? " (sealed)" : "")],
    [entry.mode ?? ""],
    [size(entry), "number"],
    [entry.content_hash ?? "–", "hash"],
    [entry.epsilon ? String(entry.epsilon) : entry.kind === "answer" ? "no bound" : "–"],
  ]));
}

function followed(watch) {
  if (!watch) return "by frag node ingest";
  if (watch.error) return `error: ${watch.error}`;
  if (!watch.watching) return "starting";
  return watch.pending ? `${watch.pending} changes waiting` : "yes";
}

function showIndex(collections) {
  fill($("collections"), Object.entries(collections).map(([name, found]) => [
    [name], [String(found.documents), "number"], [String(found.passages), "number"], [found.folder],
    [followed(found.watch), found.watch?.error ? "bad" : ""],
  ]));
  const skipped = Object.values(collections).flatMap((found) => Object.entries(found.watch?.skipped ?? {}));
  $("skipped").replaceChildren(...skipped.map(([path, code]) => make("li", `${path}: ${code}`)));
}

function showPrivacy(spending) {
  $("privacy-note").textContent = spending.under_dp.length
    ? `Budget of a unit of ${spending.under_dp.join(", ")} for its whole life: ε = ${spending.budget_epsilon} (δ = ${spending.budget_delta}).`
    : "No collection answers in mode dp: nothing is claimed of what answers tell of a unit.";
  const lines = spending.collections.map((found) =>
    `${found.collection}: at most ε = ${found.epsilon.toFixed(3)} of any unit (${found.num_units} charged, ` +
    `${found.num_exhausted} exhausted)`);
  $("privacy").replaceChildren(...(lines.length ? lines : ["Nothing has been spent."]).map((line) => make("li", line)));
}

function show(status) {
  $("login").hidden = true;
  $("view").hidden = false;
  $("problem").hidden = true;
  $("node").textContent = status.node_id;
  const connected = `${status.connected ? "Connected to" : "Not connected to"} ${status.coordinator_url}`;
  if ($("connection").textContent !== connected) $("connection").textContent = connected;
  showRelease(status.release);
  showToday(status.today);
  showIndex(status.collections);
  $("policy").replaceChildren(...status.policy.map((line) => make("li", line)));
  showPrivacy(status.privacy);
}

function complain(error) {
  if (error.status === 401) {
    sessionStorage.removeItem(KEY);
    $("login").hidden = false;
    $("view").hidden = true;
  }
  $("problem").textContent = error instanceof TypeError ? "The node does not answer." : error.message;
  $("problem").hidden = false;
}

async function refresh() {
  if (!sessionStorage.getItem(KEY)) {
    $("login").hidden = false;
    return;
  }
  try {
    show(await call("GET", "status"));
  } catch (error) {
    complain(error);
  }
}

function on(id, event, work) {
  $(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    const button = happened.submitter ?? happened.currentTarget;
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      complain(error);
    } finally {
      button.disabled = false;
    }
  });
}

function showDryRun(found) {
  const parts = [];
  if (found.release_stopped) parts.push(make("p", "Release is stopped: none of this would leave now.", "bad"));
  if (found.charge) {
    const { num_units: units, rho, share_of_budget: share, num_exhausted: exhausted } = found.charge;
    parts.push(make("p", `An answer would charge ${units} units ρ = ${rho.toPrecision(3)} each, ` +
      `${(100 * share).toFixed(1)} % of a life's budget; ${exhausted} more have none left. It was not made: ` +
      "an answer that is seen is an answer that is spent."));
  } else if (found.reply.withheld) {
    parts.push(make("p", `Withheld: ${found.reply.withheld}`));
  } else {
    parts.push(make("blockquote", found.reply.text));
  }
  const sources = Object.entries(found.sources ?? {});
  if (sources.length) {
    parts.push(make("p", "Sources that would be named by pseudonym (the names stay here):"));
    const list = document.createElement("ul");
    list.append(...sources.map(([alias, name]) => make("li", `${alias} is ${name}`)));
    parts.push(list);
  }
  if (found.reply) {
    const all = document.createElement("details");
    all.append(make("summary", "The whole message"), make("pre", JSON.stringify(found.reply, null, 2)));
    parts.push(all);
  }
  $("dry").replaceChildren(...parts);
}

on("login-form", "submit", async () => {
  sessionStorage.setItem(KEY, $("token").value.trim());
  $("token").value = "";
  await refresh();
});
on("stop-form", "submit", async () => {
  await call("POST", "release/stop", { reason: $("reason").value });
  $("reason").value = "";
  await refresh();
  $("resume").focus();
});
on("resume", "click", async () => {
  await call("POST", "release/resume", {});
  await refresh();
});
on("dry-form", "submit", async () => {
  $("dry").textContent = "The node is answering …";
  try {
    showDryRun(await call("POST", "dry-run", { question: $("question").value, answer_mode: $("mode").value }));
  } catch (error) {
    $("dry").textContent = "";
    throw error;
  }
});

await refresh();
setInterval(refresh, REFRESH_MS);
