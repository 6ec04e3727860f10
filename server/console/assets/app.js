// Starts the console: who is here, the bar above, and which view the address names.

import { ApiError, get, session } from "./api.js";
import { el, failure, icon, announce } from "./dom.js";
import { loginView } from "./login.js";
import { askView } from "./views/ask.js";
import { auditView } from "./views/audit.js";
import { jobView } from "./views/job.js";
import { jobFormView } from "./views/job_form.js";
import { nodesView } from "./views/nodes.js";
import { privacyView } from "./views/privacy.js";
import { trainingView } from "./views/training.js";

const ROUTES = [
  { path: "ask", label: "Ask", view: askView, scopes: ["query"] },
  { path: "nodes", label: "Nodes", view: nodesView, scopes: ["query", "train"] },
  { path: "training", label: "Training", view: trainingView, scopes: ["query", "train"] },
  { path: "privacy", label: "Privacy", view: privacyView, scopes: ["query", "train"] },
  { path: "audit", label: "Audit", view: auditView, scopes: [] },
];

const main = document.getElementById("main");
const bar = document.getElementById("bar");
let leave = new AbortController();

function themeButton() {
  const label = () => `Theme: ${window.fragTheme.current()}`;
  const text = el("span", {}, label());
  return el("button", { type: "button", class: "quiet theme", onclick: () => { window.fragTheme.next(); text.textContent = label(); announce(label()); } },
    icon("theme"), text);
}

function drawBar(current) {
  const links = session.who ? ROUTES.filter((route) => session.may(...route.scopes)) : [];
  bar.replaceChildren(...[
    el("a", { class: "brand", href: "#/ask", "aria-label": "frag, to the start" }, el("img", { src: "/console/mark.svg", alt: "", width: 26, height: 26 }), el("span", {}, "frag")),
    links.length ? el("nav", { "aria-label": "Views" }, el("ul", {}, links.map((route) => el("li", {},
      el("a", { href: `#/${route.path}`, "aria-current": route.path === current ? "page" : null }, icon(route.path), el("span", {}, route.label)))))) : null,
    el("div", { class: "foot" },
      session.who ? el("span", { class: "who", title: `Scopes: ${session.who.scopes.join(", ")}` }, session.who.label) : null,
      themeButton(),
      session.key ? el("button", { type: "button", class: "quiet", onclick: signOut }, icon("out"), el("span", {}, "Sign out")) : null),
  ].filter(Boolean));
}

function signOut() {
  session.key = "";
  session.who = null;
  location.hash = "";
  start();
}

function show(node, title) {
  document.title = `${title} · frag`;
  main.replaceChildren(node);
}

function showLogin(message) {
  session.who = null;
  drawBar("");
  show(loginView(start, message), "Sign in");
}

/** What every view does with an error that it cannot mend itself. */
function refuse(error) {
  if (error.name === "AbortError") return;
  if (error instanceof ApiError && error.status === 401) {
    session.key = "";
    showLogin("Your key is no longer valid. Sign in again.");
    return;
  }
  const retry = el("button", { type: "button", onclick: () => route() }, "Try again");
  show(el("div", { class: "view" }, failure(error, retry)), "Problem");
}

async function route() {
  leave.abort();
  leave = new AbortController();
  const [path, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const allowed = ROUTES.filter((entry) => session.may(...entry.scopes));
  const found = allowed.find((entry) => entry.path === path) ?? allowed[0];
  drawBar(found.path);
  let view = found.view;
  if (found.path === "training" && rest[0]) view = rest[0] === "new" ? jobFormView : jobView;
  const signal = leave.signal;
  try {
    const node = await view({ signal, refuse: (error) => signal.aborted || refuse(error), argument: rest[0] ?? "" });
    if (signal.aborted) return;
    show(node, found.label);
    main.querySelector("h1")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  } catch (error) {
    if (!signal.aborted) refuse(error);
  }
}

async function start() {
  if (!session.key) {
    showLogin("");
    return;
  }
  try {
    session.who = await get("/v1/whoami");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      const wrong = session.key !== "";
      session.key = "";
      showLogin(wrong ? "This key is unknown or revoked." : "");
      return;
    }
    drawBar("");
    show(el("div", { class: "view" }, failure(error, el("button", { type: "button", onclick: start }, "Try again"))), "No connection");
    return;
  }
  route();
}

document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
window.addEventListener("hashchange", () => { if (session.who) route(); });
start();
