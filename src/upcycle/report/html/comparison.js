/** What `upcycle compare` found: a score with its interval for each leg, sizes, money, and what may be said of it. */

import { colour, figure, legend, SERIES } from "./charts.js";
import { count, dollars, h, plural, svg, table } from "./dom.js";

const points = (value) => (100 * value).toFixed(1);
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;
const money = (usd) => dollars(1e6 * usd);
const chance = (p) => (p < 0.001 ? "<0.001" : p.toFixed(3));
const trains = (leg) => !["constant", "prompt"].includes(leg.kind);

/** The title of a comparison's page. */
export function comparisonHeading({ facts }) {
  const found = facts.comparison;
  return [h("p", { class: "kicker" }, "Comparison"), h("h1", null, found.task),
    h("p", { class: "lead" }, `${found.metric.replaceAll("_", " ")} on ${plural(found.items, "test item")}. Student ${found.student}, ${plural(found.rows, "row")} a leg, ${plural(found.seeds, "seed")}.`)];
}

export function comparison({ facts }) {
  const found = facts.comparison;
  return h("div", { class: "comparison" },
    forest(found), legs(found), sayings(found), sizes(found), bought(found),
    found.left_out.length ? table(["leg", "why it is left out"], found.left_out.map((one) => [one.leg, one.why]), { caption: "Left out" }) : null,
    found.notes.length ? h("div", null, h("h3", null, "To know"), h("ul", null, found.notes.map((note) => h("li", { dir: "auto" }, note)))) : null);
}

/** Every leg's score as a point on its interval, the baseline's as a line through all. */
function forest({ legs: all, baseline, metric }) {
  const base = all.find((leg) => leg.name === baseline);
  const low = Math.min(...all.map((leg) => leg.low)), high = Math.max(...all.map((leg) => leg.high));
  const from = Math.max(0, Math.floor(20 * low - 0.4) / 20), to = Math.min(1, Math.ceil(20 * high + 0.4) / 20);
  const told = all.map((leg) => `${leg.name} ${points(leg.value)}, ${points(leg.low)} to ${points(leg.high)}`).join("; ");
  const draw = (width) => {
    const narrow = width < 560, row = narrow ? 44 : 30, left = narrow ? 12 : Math.min(260, width * 0.36), right = width - 56, height = all.length * row + 34;
    const at = (value) => left + ((value - from) / (to - from)) * (right - left);
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const step = to - from > 0.5 ? 0.1 : to - from > 0.2 ? 0.05 : 0.02;
    for (let tick = Math.ceil(from / step) * step; tick <= to + 1e-9; tick += step) {
      root.append(svg("line", { class: "grid", x1: at(tick), x2: at(tick), y1: 4, y2: height - 26 }), svg("text", { class: "tick", x: at(tick), y: height - 10, "text-anchor": "middle" }, Math.round(100 * tick)));
    }
    root.append(svg("line", { class: "mark", x1: at(base.value), x2: at(base.value), y1: 4, y2: height - 26 }));
    all.forEach((leg, number) => {
      const y = number * row + (narrow ? 30 : 19);
      const stroke = colour(leg.name === baseline || !trains(leg) ? 2 : leg.kind === "gold" ? 1 : 0);
      const whisker = svg("line", { class: "whisker", x1: at(leg.low), x2: at(leg.high), y1: y, y2: y });
      const dot = svg("circle", { cx: at(leg.value), cy: y, r: leg.versus?.significant ? 5.5 : 4.5 });
      whisker.style.stroke = dot.style.stroke = stroke;
      dot.style.strokeWidth = "2";
      dot.style.fill = leg.versus?.significant || leg.name === baseline ? stroke : "var(--paper)";
      dot.append(svg("title", null, `${leg.name}: ${points(leg.value)} (${points(leg.low)} to ${points(leg.high)})`));
      root.append(svg("text", { class: "tick leg", x: narrow ? left : left - 14, y: narrow ? y - 14 : y + 4, "text-anchor": narrow ? "start" : "end" }, leg.name), whisker, dot,
        svg("text", { class: "tick", x: right + 8, y: y + 4 }, points(leg.value)));
    });
    return root;
  };
  return figure(h("span", null, `${metric.replaceAll("_", " ")}, in points `, h("small", null, `the line is ${baseline}; filled: significantly different from it at 95 %`)), told, draw);
}

function legs(found) {
  const rows = found.legs.map((leg) => {
    const gap = leg.versus;
    return [h("span", null, leg.name, leg.about ? h("small", { dir: "auto" }, ` ${leg.about}`) : null),
      trains(leg) ? count(leg.rows) : "–", points(leg.value), `${points(leg.low)} to ${points(leg.high)}`, leg.spread === null ? "–" : points(leg.spread),
      gap ? `${signed(gap.value)} (${signed(gap.low)} to ${signed(gap.high)})` : "baseline", gap ? (gap.significant ? "significant" : "not significant") : "",
      gap ? `${chance(gap.p_adjusted)} / ${chance(gap.p_mcnemar)}` : "",
      trains(leg) ? money(leg.usd) : "–", trains(leg) ? (leg.usd_per_point === null ? "no gain" : money(leg.usd_per_point)) : "–"];
  });
  return h("div", null,
    table(["leg", "rows", "score", "95 %", "seeds ±", `against ${found.baseline}`, "at 95 %", "p, p of McNemar", "cost", "cost per point"], rows, { caption: "Legs", numbers: [1, 2, 3, 4, 5, 7, 8, 9] }),
    h("p", { class: "quiet" }, "Intervals are over items and seeds together. The first p is of the paired bootstrap, adjusted for the number of legs (Holm); McNemar's is of what most seeds say, and is not. Cost per point is counted from always saying the same."));
}

function sayings({ said }) {
  return h("div", null, h("h3", null, "What can be said"), h("ul", { class: "said" }, said.map((one) => h("li", null, one))));
}

/** The learning curve of every leg. */
function sizes({ legs: all }) {
  const drawn = all.filter((leg) => leg.points.length > 1);
  if (!drawn.length) return null;
  const every = drawn.flatMap((leg) => leg.points);
  const most = Math.max(...every.map((point) => point.rows));
  const low = Math.min(...every.map((point) => point.value)), high = Math.max(...every.map((point) => point.value));
  const from = Math.max(0, Math.floor(20 * low) / 20), to = Math.min(1, Math.ceil(20 * high) / 20);
  const steps = [...new Set(every.map((point) => point.rows))].sort((a, b) => a - b);
  const draw = (width) => {
    const height = 280, left = 46, right = width - 16, top = 10, bottom = height - 40;
    const x = (rows) => left + (rows / most) * (right - left), y = (value) => bottom - ((value - from) / (to - from || 1)) * (bottom - top);
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (let tick = 0; tick <= 4; tick++) {
      const value = from + (tick / 4) * (to - from);
      root.append(svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }), svg("text", { class: "tick", x: left - 8, y: y(value) + 4, "text-anchor": "end" }, (100 * value).toFixed(0)));
    }
    let last = -60;
    for (const rows of steps) {
      if (x(rows) - last < 44) continue;
      last = x(rows);
      root.append(svg("text", { class: "tick", x: x(rows), y: bottom + 16, "text-anchor": "middle" }, count(rows)));
    }
    root.append(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }), svg("text", { class: "axis-title", x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, "rows"));
    drawn.forEach((leg, number) => {
      const line = svg("polyline", { class: `line dash-${Math.floor(number / SERIES) % 3}`, points: leg.points.map((point) => `${x(point.rows)},${y(point.value)}`).join(" ") });
      line.style.stroke = colour(number);
      root.append(line);
      for (const point of leg.points) {
        const dot = svg("circle", { cx: x(point.rows), cy: y(point.value), r: 3 });
        dot.style.fill = colour(number);
        dot.append(svg("title", null, `${leg.name}, ${count(point.rows)} rows: ${points(point.value)} (${points(point.low)} to ${points(point.high)})`));
        root.append(dot);
      }
    });
    return root;
  };
  const numbers = () => table(["leg", ...steps.map(count)], drawn.map((leg) => [leg.name, ...steps.map((rows) => {
    const point = leg.points.find((one) => one.rows === rows);
    return point ? `${points(point.value)} (${points(point.low)} to ${points(point.high)})` : "";
  })]), { caption: "Scores by rows", numbers: steps.map((_, number) => number + 1) });
  return h("div", null, figure(h("span", null, "Learning curves"), drawn.map((leg) => `${leg.name}: ${leg.points.map((one) => `${points(one.value)} at ${one.rows}`).join(", ")}`).join("; "), draw, numbers), legend(drawn.map((leg) => leg.name)));
}

/** The second view: as many rows as the same money buys. */
function bought(found) {
  if (!found.usd) {
    return h("p", { class: "about" }, `For the same money: no leg of made or existing rows cost anything, so there is no gold for it. At ${money(found.label_usd)} a label, ${plural(found.rows, "row")} of gold cost ${money(found.label_usd * found.rows)}.`);
  }
  const some = found.legs.filter((leg) => leg.money);
  return table(["leg", "rows", "score", "95 %"], some.map((leg) => [leg.name, count(leg.money.rows), points(leg.money.value), `${points(leg.money.low)} to ${points(leg.money.high)}`]),
    { caption: `What ${money(found.usd)} buys of each; a label costs ${money(found.label_usd)}`, numbers: [1, 2, 3] });
}
