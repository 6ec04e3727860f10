// Lines over rounds as SVG, with the same figures as a table for those who do not see it.

import { el, svg } from "./dom.js";
import { number } from "./words.js";

const WIDTH = 560, HEIGHT = 240;
const RIGHT = 26, TOP = 14, BOTTOM = 36;
const DIGIT = 11.5; // of the largest type that the style has for ticks

/** `series`: [{name, tone, points: [[x, y], …]}]; x is a round, `last` the number of rounds planned. */
export function lineChart({ title, series, last, bounds }) {
  const drawn = series.filter((line) => line.points.length);
  const [low, high] = bounds ?? range(drawn.flatMap((line) => line.points.map((point) => point[1])));
  const labels = [0, 1, 2, 3, 4].map((step) => low + ((high - low) * step) / 4);
  const left = 16 + DIGIT * Math.max(3, ...labels.map((value) => number(value).length));
  const first = Math.min(1, ...drawn.map((line) => line.points[0][0]));
  const x = (value) => left + ((value - first) / Math.max(last - first, 1)) * (WIDTH - left - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const plot = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(title, drawn) },
    gridLines(labels, left, y), roundMarks(first, last, x), drawn.map((line) => [
      svg("polyline", { class: `line ${line.tone}`, points: line.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ") }),
      line.points.length <= 40 ? line.points.map(([a, b]) => svg("circle", { class: `point ${line.tone}`, cx: x(a), cy: y(b), r: 3.2 },
        svg("title", {}, `${line.name}, round ${a}: ${number(b)}`))) : null]));
  return el("figure", { class: "plot" }, el("figcaption", {}, el("span", { class: "plot-title" }, title),
    el("span", { class: "keys" }, drawn.map((line) => el("span", { class: `key ${line.tone}` }, line.name)))), plot);
}

function range(values) {
  if (!values.length) return [0, 1];
  const low = Math.min(...values), high = Math.max(...values);
  const margin = (high - low || Math.abs(high) || 1) * 0.12;
  return [low >= 0 ? Math.max(0, low - margin) : low - margin, high + margin];
}

function gridLines(values, left, y) {
  return values.map((value) => [svg("line", { class: "grid", x1: left, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: left - 8, y: y(value) + 5, "text-anchor": "end" }, number(value))]);
}

function roundMarks(first, last, x) {
  const step = Math.max(1, Math.ceil((last - first) / 8));
  const marks = [];
  for (let round = first; round <= last; round += step) {
    marks.push(svg("text", { class: "tick", x: x(round), y: HEIGHT - 9, "text-anchor": "middle" }, round));
  }
  return marks;
}

function summary(title, lines) {
  const parts = lines.map((line) => `${line.name} from ${number(line.points[0][1])} to ${number(line.points.at(-1)[1])}`);
  return parts.length ? `${title}: ${parts.join("; ")}` : `${title}: no figures yet`;
}
