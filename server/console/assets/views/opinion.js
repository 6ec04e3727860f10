// What the asker thinks of an answer: it goes to the nodes that the answer rests on, and is kept by nobody else.

import { post } from "../api.js";
import { announce, el, failure, field } from "../dom.js";
import { failed } from "../words.js";

export function opinion(done) {
  const nodes = done.answered.filter((view) => view.contributed).map((view) => view.node);
  if (!done.answer || done.answer_mode === "dp" || !nodes.length) return null;
  const said = el("div", { class: "said", "aria-live": "polite" });
  const correction = el("textarea", { rows: 2, maxlength: 4000 });
  const send = el("button", { type: "submit" }, "Send");
  const form = el("form", { class: "correct", hidden: true },
    field("What would have been right?", correction, "May be left empty. It goes to the nodes alone; their operators decide what becomes of it."), send);
  const choose = (text, act) => el("button", { type: "button", onclick: act }, text);
  const row = el("div", { class: "opinion-row" }, el("h3", {}, "Was this right?"),
    choose("Yes", () => give("up", "")), choose("No", () => { form.hidden = false; correction.focus(); }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    give("down", correction.value.trim());
  });

  async function give(rating, text) {
    send.disabled = true;
    try {
      const { taken, failed: missed } = await post(`/v1/query/${done.query_id}/feedback`, { rating, correction: text, nodes });
      const others = missed.map((item) => `${item.node}: ${failed(item.code)}`).join(" ");
      form.hidden = true;
      row.querySelectorAll("button").forEach((button) => button.remove());
      said.replaceChildren(el("p", { class: "note" }, `Taken by ${taken.join(", ")}. ${others}`.trim()));
      announce("Your feedback was taken");
    } catch (error) {
      said.replaceChildren(failure(error));
    } finally {
      send.disabled = false;
    }
  }
  return el("section", { class: "opinion" }, row, form, said);
}
