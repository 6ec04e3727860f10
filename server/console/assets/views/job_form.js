// Start a job.

import { get, post } from "../api.js";
import { choice, el, failure, field, heading, state } from "../dom.js";

const METHODS = [["lora", "LoRA: small additions to the model's weights"], ["prompt", "Prompt: virtual tokens"], ["p_tuning", "P-tuning: virtual tokens through an encoder"],
  ["deep", "Deep prompt: keys and values at every layer"], ["generator", "Generator: a prompt made from the question"], ["full", "Full: all weights"]];
const MODES = [["plain", "Plain: each update is seen"], ["robust", "Robust: against dishonest nodes"], ["secagg", "Secure sum: the sum alone is seen"]];
const STRATEGIES = [["fedavg", "FedAvg"], ["fedprox", "FedProx"], ["fedavgm", "FedAvgM"], ["fedadam", "FedAdam"], ["fedyogi", "FedYogi"], ["fedadagrad", "FedAdagrad"]];

export async function jobFormView({ signal }) {
  const { nodes } = await get("/v1/nodes", { signal });
  const holders = new Map();
  nodes.forEach((node) => node.datasets.forEach((name) => holders.set(name, [...(holders.get(name) ?? []), node.node])));
  const back = el("a", { class: "back", href: "#/training" }, "← Training");
  if (!holders.size) {
    return el("div", { class: "view" }, back, heading("Start a job"), state("No connected node holds a data set",
      "Examples stay on the nodes. On each: `frag dataset add qa examples.jsonl`, with the columns named.", el("a", { class: "button", href: "#/nodes" }, "See the nodes")));
  }
  return el("div", { class: "view narrow" }, back, heading("Start a job", "What is left as it is, is a sensible default."), jobForm(holders));
}

const whole = (value, min, max) => el("input", { type: "number", min, max, value, required: true });

function jobForm(holders) {
  const name = el("input", { type: "text", required: true, pattern: "[a-z0-9][a-z0-9_\\-]{0,63}", spellcheck: "false", autocomplete: "off" });
  const datasets = [...holders];
  const dataset = choice(datasets.map(([set, nodes]) => [set, `${set} (${nodes.length} ${nodes.length === 1 ? "node" : "nodes"})`]), datasets[0][0]);
  name.value = datasets[0][0];
  const method = choice(METHODS, "lora"), place = choice([["after", "After the input (faster)"], ["before", "Before the input"]], "after");
  const mode = choice(MODES, "plain"), strategy = choice(STRATEGIES, "fedavg");
  const rounds = whole(6, 1, 100000), replies = whole(Math.min(2, datasets[0][1].length), 1, 10000), deadline = whole(900, 1, 86400);
  const steps = whole(10, 1, 100000), batch = whole(16, 1, 4096), every = whole(1, 0, 100000);
  const rate = el("input", { type: "number", min: 0, step: "any", value: 0.003, required: true });
  const said = el("div", {}), submit = el("button", { type: "submit", class: "primary" }, "Start");
  const form = el("form", { class: "card job-form" },
    group("What", field("Name", name, "Lower case; the version is named after it."), field("Data set", dataset, "Nodes that hold it take part."), field("What is trained", method), field("Where it acts", place)),
    group("Rounds", field("Number of rounds", rounds), field("Updates a round needs", replies), field("Wait at most (seconds)", deadline), field("Measure every … rounds", every, "0: never.")),
    group("On each node", field("Steps in a round", steps), field("Examples in a step", batch), field("Learning rate", rate)),
    group("Putting updates together", field("Aggregation", mode, "A secure sum needs at least three nodes."), field("Strategy", strategy)),
    said, el("div", { class: "form-end" }, submit, el("a", { class: "button", href: "#/training" }, "Leave it")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const kind = { kind: method.value, place: place.value };
      const made = await post("/v1/jobs", {
        name: name.value, dataset: dataset.value, method: kind, strategy: { kind: strategy.value }, aggregation: { mode: mode.value },
        rounds: { number: Number(rounds.value), min_replies: Number(replies.value), deadline_s: Number(deadline.value) },
        local: { steps: Number(steps.value), batch_size: Number(batch.value), learning_rate: Number(rate.value) }, evaluation: { every: Number(every.value) },
      });
      location.hash = `#/training/${encodeURIComponent(made.job_id)}`;
    } catch (error) {
      submit.disabled = false;
      said.replaceChildren(failure(error));
    }
  });
  return form;
}

function group(title, ...fields) {
  return el("fieldset", {}, el("legend", {}, title), el("div", { class: "grid2" }, fields));
}
