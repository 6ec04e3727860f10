// A merged answer while it is written: what will stay stands in ink, what a check may still take back in grey.

import { announce, el, pill } from "../dom.js";

/** `written` and `settled` take the data of the events `token` and `settled`. Nothing is shown before the first one. */
export function draftCard() {
  const sure = el("span", {}), open = el("span", { class: "provisional" });
  const node = el("section", { class: "card answer draft", "aria-busy": "true", "aria-label": "Answer under way", hidden: true },
    el("div", { class: "card-head" }, el("h2", {}, "Answer"), pill("busy", "Being written")),
    el("p", { class: "answer-text" }, sure, open),
    el("p", { class: "note" }, "Grey text is provisional: a check may still replace it."));
  let written = "", kept = "";
  const show = () => {
    if (node.hidden) announce("The answer is being written");
    node.hidden = false;
    sure.textContent = kept;
    open.textContent = written.startsWith(kept) ? written.slice(kept.length) : "";
  };
  return {
    node,
    written({ text, restart }) {
      written = restart ? text : written + text;
      show();
    },
    settled({ text }) {
      kept += text;
      show();
    },
  };
}
