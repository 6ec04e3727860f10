// Codes in plain words. What is unknown is shown as it came.

const REASONS = {
  no_evidence: "Found no passage that fits the question.",
  no_answer: "Its passages do not answer the question.",
  verbatim: "The answer would have copied a document word for word.",
  pii: "The answer held personal data that could not be masked.",
  nothing_left: "Nothing was left of the answer after filtering.",
  mode_not_allowed: "Its policy does not allow this answer mode.",
  no_documents: "It has no documents to search.",
  rate_limited: "It has answered as often as its policy allows for now.",
  no_language_model: "It has no language model to write with.",
  not_under_dp: "It does not look up passages under differential privacy.",
};

const FAILURES = {
  not_connected: "Enrolled, but not connected. Start it with `frag node run`, or check its network.",
  disconnected: "The connection ended while it was asked.",
  deadline_exceeded: "It did not answer in time. Allow more seconds, or look at its load.",
  bad_reply: "Its reply broke the protocol and was thrown away. Update the node.",
  internal: "It failed on the question. Its log says where.",
  overloaded: "It has too many questions at once.",
};

export const MODES = {
  scrub: ["Scrubbed", "Identifiers of the types that a node's policy lists are masked, most of them, and no run of words beyond its limit is copied. A filter, not differential privacy."],
  consensus: ["Consensus", "Only what several operators say comes out. The coordinator reads every answer; not differential privacy."],
  dp: ["Differentially private", "Only nodes that keep a private collection answer. An answer states ε and δ where its node claims a bound."],
  none: ["Unfiltered", "Nothing is filtered: for public documents."],
};

export const AGGREGATIONS = [
  ["", "As the federation has it"], ["best", "Best: the answer with the highest score"],
  ["vote", "Vote: what most nodes say"], ["medoid", "Medoid: nearest to all others"],
  ["synthesize", "Synthesize: written from all of them"],
];

export const METHODS = {
  best: "the answer with the highest score", vote: "what most nodes say", medoid: "the answer nearest to all others",
  synthesize: "written by the coordinator's model from all of them", consensus: "what several operators support",
  keywords: "written from keywords that units of all nodes voted for",
};

export const METRICS = { loss: "Training loss", held_out_loss: "Held-out loss", held_out_f1: "Held-out F1", held_out_em: "Held-out exact match" };

const ACTIONS = {
  key_added: "API key added", key_revoked: "API key revoked", token_made: "Enrollment token made",
  node_enrolled: "Node enrolled", node_revoked: "Node revoked", job_added: "Job added", job_queued: "Job queued",
  job_running: "Job started", job_done: "Job done", job_failed: "Job failed", job_cancelled: "Job cancelled",
  prompt_added: "Version added", prompt_promoted: "Version promoted",
};

const plain = (code) => String(code).replaceAll("_", " ");
const of = (table, code) => (Object.hasOwn(table, code) ? table[code] : plain(code));
export const reason = (code) => of(REASONS, code);
export const failed = (code) => of(FAILURES, code);
export const action = (code) => of(ACTIONS, code);
export const modeName = (mode) => (Object.hasOwn(MODES, mode) ? MODES[mode][0] : mode);

export function ms(value) {
  if (!Number.isFinite(value)) return "–";
  return value < 1000 ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  const small = value !== 0 && Math.abs(value) < 1e-3;
  return small ? value.toExponential(digits - 1).replace(/\.?0*e/, "e").replace("-", "−") : String(Number(value.toPrecision(digits)));
}
export const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let step = 0;
  while (value >= 1000 && step < 3) { value /= 1000; step += 1; }
  return `${number(value)} ${units[step]}`;
}

const utc = (iso) => (/[zZ]|[+-]\d\d:\d\d$/.test(iso) ? iso : `${iso}Z`);
export function when(iso) {
  const at = new Date(utc(String(iso)));
  return Number.isNaN(at.getTime()) ? String(iso) : at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
export const clock = (iso) => new Date(utc(String(iso))).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
