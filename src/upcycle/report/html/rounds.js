/** The rounds of S3: what a small model got wrong, what was written because of it, and whether that helped. */

import { colour, figure, legend } from "./charts.js";
import { count, dollars, h, plural, quoted, svg, table } from "./dom.js";
import { beside } from "./sections.js";

const inPercent = (value) => `${(100 * value).toFixed(1)} %`;
const ranged = (value, [low, high]) => `${inPercent(value)} (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;

export function rounds({ datasets }) {
  return beside(datasets, ({ s3 }) => {
    if (!s3?.first?.rows) return h("p", { class: "quiet" }, "No rounds were made.");
    const { gold, first } = s3;
    return h("div", null,
      h("p", { class: "lead-small" }, `Gold: ${plural(gold.mine, "row")} to mine errors on, ${count(gold.select)} to select by, ${count(gold.test)} to test on. First set: ${plural(first.rows, "row")}, ${ranged(first.select, first.select_ci)} on the select rows.`),
      drift(s3),
      s3.rounds.map(round),
      s3.table.length ? table(["trained on", "rows", "on the test rows", "the set is ahead by"], s3.table.map((line) => [line.name, count(line.rows), ranged(line.score, line.ci), line.words || "–"]), { caption: "Beside sets of equal size", numbers: [1] }) : null,
      s3.curve.length > 1 ? learned(s3.curve) : null,
      h("p", { class: "quiet" }, s3.ended ? `Ended: ${s3.ended}. ` : "", s3.audit ? `${plural(s3.audit, "gold row")} to look at, as hard or mislabelled, ${s3.audit === 1 ? "is" : "are"} in s3/audit.jsonl.` : ""));
  });
}

/** The first set and every round beside each other: what they cost, what they brought, and how varied they are. */
function drift({ first, rounds }) {
  const labels = (look) => Object.entries(look.labels ?? {}).map(([label, rows]) => `${label} ${count(rows)}`).join(", ") || "–";
  const opening = (look) => (look.opening ? `${(100 * look.opening_share).toFixed(1)} % “${look.opening}”` : "–");
  const varied = (look) => `${look.bigrams}${look.share === null ? "" : ` (${(100 * look.share).toFixed(0)} %)`}`;
  const lines = [["first set", count(first.rows), ranged(first.select, first.select_ci), first.cost_micro === undefined ? "–" : dollars(first.cost_micro), varied(first.look), labels(first.look), opening(first.look)]];
  for (const one of rounds) {
    lines.push([`round ${one.round}, ${one.kept ? "kept" : "not kept"}`, count(one.added), one.after ? ranged(one.after.select, one.after.select_ci) : "–", dollars(one.cost_micro), varied(one.look), labels(one.look), opening(one.look)]);
  }
  return table(["", "rows", "on the select rows", "cost", "unique bigrams a row (of the first set's)", "labels", "commonest opening"], lines, { caption: "Round by round", numbers: [1] });
}

/** Accuracy over the number of gold rows (a logarithmic axis), of the gold alone and with the set beside it. */
function learned(curve) {
  const series = [["gold alone", (point) => point.alone], ["with the set", (point) => point.with_set]];
  const all = curve.flatMap((point) => [point.alone, point.with_set]);
  const from = Math.max(0, Math.floor(10 * Math.min(...all) - 0.2) / 10), to = 1;
  const first = Math.log(curve[0].gold), last = Math.log(curve.at(-1).gold);
  const draw = (width) => {
    const height = Math.min(300, Math.max(200, width * 0.4)), left = 46, right = width - 24, top = 12, bottom = height - 40;
    const x = (gold) => left + ((Math.log(gold) - first) / (last - first)) * (right - left);
    const y = (value) => bottom - ((value - from) / (to - from)) * (bottom - top);
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (let tick = Math.round(10 * from); tick <= 10; tick += from < 0.5 ? 2 : 1) {
      root.append(svg("line", { class: "grid", x1: left, x2: right, y1: y(tick / 10), y2: y(tick / 10) }), svg("text", { class: "tick", x: left - 8, y: y(tick / 10) + 4, "text-anchor": "end" }, `${10 * tick} %`));
    }
    for (const { gold } of curve) root.append(svg("text", { class: "tick", x: x(gold), y: bottom + 16, "text-anchor": "middle" }, count(gold)));
    root.append(svg("text", { class: "tick", x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, "gold rows"));
    series.forEach(([name, of], number) => {
      const line = svg("polyline", { class: `line dash-${number}`, points: curve.map((point) => `${x(point.gold)},${y(of(point))}`).join(" ") });
      line.style.stroke = colour(number);
      root.append(line);
      for (const point of curve) {
        const dot = svg("circle", { cx: x(point.gold), cy: y(of(point)), r: 3.5 }, svg("title", null, `${name}, ${count(point.gold)} gold rows: ${inPercent(of(point))}`));
        dot.style.fill = colour(number);
        root.append(dot);
      }
    });
    return root;
  };
  const told = curve.map((point) => `${count(point.gold)} gold rows: ${inPercent(point.alone)} alone, ${inPercent(point.with_set)} with the set`).join("; ");
  const numbers = () => table(["gold rows", "gold alone", "with the set"], curve.map((point) => [count(point.gold), inPercent(point.alone), inPercent(point.with_set)]), { numbers: [0, 1, 2] });
  return h("div", null, legend(series.map(([name]) => name)), figure("What the set adds to gold, on the test rows", told, draw, numbers));
}

function round(one) {
  const lost = Object.entries(one.dropped).map(([kind, rows]) => `${count(rows)} ${kind}`).join(", ");
  return h("details", { class: "plan", open: true },
    h("summary", null, h("strong", null, `Round ${one.round}: ${one.kept ? "kept" : "not kept"}`), h("span", { class: "quiet" }, `${plural(one.errors, "error")} · ${plural(one.added, "row")} added`)),
    h("p", null, `${one.reason}. ${plural(one.written, "row")} written for ${dollars(one.cost_micro)} and ${plural(one.tokens, "token")}${lost ? `; dropped: ${lost}` : ""}.`),
    one.clusters.length ? table(["right", "said", "in common", "errors before", "after"], one.clusters.map((cluster) => [cluster.gold || "–", cluster.said || "–", cluster.pattern || cluster.words.join(", ") || "–", count(cluster.before), cluster.after === null ? "–" : count(cluster.after)]), { caption: `Errors of round ${one.round}, put together`, numbers: [3, 4] }) : null,
    one.confusion.length > 1 ? confused(one) : null,
    one.look.warnings.map((text) => h("p", { class: "warning" }, text)),
    one.examples.length ? h("details", null, h("summary", null, "Errors, and what was written because of them"), one.examples.map(extrapolated)) : null);
}

/** What was said for what, before the round and after it. */
function confused(one) {
  const [before, after] = one.confusion;
  const lines = Object.entries(before).flatMap(([right, said]) => [...new Set([...Object.keys(said), ...Object.keys(after[right] ?? {})])].map((name) => [right, name, count(said[name] ?? 0), count(after[right]?.[name] ?? 0)]));
  return lines.length <= 60 ? table(["right", "said", "before", "after"], lines, { caption: `Confusion on the mine rows, round ${one.round}`, numbers: [2, 3] }) : null;
}

function extrapolated(one) {
  return h("div", { class: "demonstration" }, h("p", { class: "quiet" }, `${one.id}: ${one.gold}, and the student said ${one.said}`), quoted(one.error), h("div", { class: "part output" }, quoted(one.written)));
}
