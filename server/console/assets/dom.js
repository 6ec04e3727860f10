// Builds the page. Text goes in as text nodes alone: what peers send can never become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return node;
}

export const el = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

const ICONS = {
  ask: "M4 5h16v11H9l-4 4v-4H4z",
  nodes: "M12 12 5 6m7 6 7-6m-7 6v7M3.5 6a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0m14 0a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0m-7 13a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0",
  training: "M4 20V4m0 16h16M7 8c3 8 6 8 12 8.5",
  privacy: "M12 3 5 6v5c0 5 3 8 7 10 4-2 7-5 7-10V6z",
  audit: "M6 3h9l4 4v14H6zM9 11h7m-7 4h7M9 7h3",
  theme: "M12 4v16a8 8 0 0 0 0-16zM12 4a8 8 0 1 0 0 16",
  out: "M10 4H5v16h5M10 12h10m-4-4 4 4-4 4",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }));
}

export const pill = (tone, text) => el("span", { class: `pill ${tone}` }, el("span", { class: "dot", "aria-hidden": "true" }), text);

/** Text with `code` between backticks, as nodes. */
export const prose = (text) => String(text).split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

export function state(title, text, ...more) {
  return el("div", { class: "state" }, el("h2", {}, title), text ? el("p", {}, prose(text)) : null, more);
}

export function failure(error, ...more) {
  return el("div", { class: "notice bad", role: "alert" },
    el("strong", {}, error.title ?? "This did not work"),
    el("p", {}, prose(error.what ?? String(error))),
    error.mend ? el("p", { class: "mend" }, prose(error.mend)) : null, more);
}

export function heading(title, lead, ...actions) {
  return el("header", { class: "head" },
    el("div", {}, el("h1", { tabindex: "-1" }, title), lead ? el("p", { class: "lead" }, lead) : null),
    actions.length ? el("div", { class: "actions" }, actions) : null);
}

/**
 * A table; where there is no room for columns, each row becomes a list of its values with their heads before them.
 * `heads`: [title, class]; the first cell of a row is its head. Roles are written out, since such a layout takes them away.
 */
export function dataTable(label, heads, rows) {
  const row = (cells) => el("tr", { role: "row" }, cells.map((cell, at) => el(at ? "td" : "th",
    { role: at ? "cell" : "rowheader", scope: at ? null : "row", class: heads[at][1], "data-head": heads[at][0] }, cell)));
  const body = el("tbody", { role: "rowgroup" }, rows.map(row));
  const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
    heads.map(([title, kind]) => el("th", { role: "columnheader", scope: "col", class: kind }, title))));
  const shown = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, el("table", { class: "data", role: "table" }, head, body));
  return { shown, add: (more) => body.append(...more.map(row)) };
}

let counter = 0;
export function field(label, control, hint) {
  const id = `field-${++counter}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: "field" }, el("label", { for: id }, label), control,
    hint ? el("p", { class: "hint", id: `${id}-hint` }, hint) : null);
}

export function choice(options, chosen) {
  return el("select", {}, options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

export function copyable(text, label) {
  const button = el("button", { type: "button", class: "copy" }, icon("copy"), el("span", {}, "Copy"));
  button.addEventListener("click", async () => {
    await copyText(text);
    button.lastChild.textContent = "Copied";
    announce(`${label} copied`);
    setTimeout(() => { button.lastChild.textContent = "Copy"; }, 2000);
  });
  return el("div", { class: "copyable" }, el("code", { tabindex: "0", role: "textbox", "aria-readonly": "true", "aria-label": label }, text), button);
}

async function copyText(text) {
  if (navigator.clipboard) {
    try { await navigator.clipboard.writeText(text); return; } catch { /* not allowed: the old way */ }
  }
  const area = el("textarea", { class: "unseen", "aria-hidden": "true", value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
