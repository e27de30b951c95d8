/** The rounds of S3: what a small model got wrong, what was written because of it, and whether that helped. */

import { count, dollars, h, plural, quoted, table } from "./dom.js";
import { beside } from "./sections.js";

const inPercent = (value) => `${(100 * value).toFixed(1)} %`;
const ranged = (value, [low, high]) => `${inPercent(value)} (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;

export function rounds({ datasets }) {
  return beside(datasets, ({ s3 }) => {
    if (!s3?.first?.rows) return h("p", { class: "quiet" }, "No rounds were made.");
    const { gold, first } = s3;
    return h("div", null,
      h("p", { class: "lead-small" }, `Gold: ${plural(gold.mine, "row")} to mine errors on, ${count(gold.select)} to select by, ${count(gold.test)} to test on. First set: ${plural(first.rows, "row")}, ${ranged(first.select, first.select_ci)} on the select rows.`),
      s3.rounds.map(round),
      s3.table.length ? table(["trained on", "rows", "on the test rows", "the set is ahead by"], s3.table.map((line) => [line.name, count(line.rows), ranged(line.score, line.ci), line.words || "–"]), { caption: "Beside sets of equal size", numbers: [1] }) : null,
      s3.curve.length ? table(["gold rows", "gold alone", "with the set"], s3.curve.map((point) => [count(point.gold), inPercent(point.alone), inPercent(point.with_set)]), { caption: "What the set adds to gold", numbers: [0, 1, 2] }) : null,
      h("p", { class: "quiet" }, s3.ended ? `Ended: ${s3.ended}. ` : "", s3.audit ? `${plural(s3.audit, "gold row")} to look at, as hard or mislabelled, ${s3.audit === 1 ? "is" : "are"} in s3/audit.jsonl.` : ""));
  });
}

function round(one) {
  const lost = Object.entries(one.dropped).map(([kind, rows]) => `${count(rows)} ${kind}`).join(", ");
  return h("details", { class: "plan", open: true },
    h("summary", null, h("strong", null, `Round ${one.round}: ${one.kept ? "kept" : "not kept"}`), h("span", { class: "quiet" }, `${plural(one.errors, "error")} · ${plural(one.added, "row")} added`)),
    h("p", null, `${one.reason}. ${plural(one.written, "row")} written for ${dollars(one.cost_micro)} and ${plural(one.tokens, "token")}${lost ? `; dropped: ${lost}` : ""}.`),
    one.clusters.length ? table(["right", "said", "in common", "errors before", "after"], one.clusters.map((cluster) => [cluster.gold || "–", cluster.said || "–", cluster.pattern || cluster.words.join(", ") || "–", count(cluster.before), cluster.after === null ? "–" : count(cluster.after)]), { caption: `Errors of round ${one.round}, put together`, numbers: [3, 4] }) : null,
    one.confusion.length > 1 ? confused(one) : null,
    variety(one.look),
    one.look.warnings.map((text) => h("p", { class: "warning" }, text)),
    one.examples.length ? h("details", null, h("summary", null, "Errors, and what was written because of them"), one.examples.map(pair)) : null);
}

/** What was said for what, before the round and after it. */
function confused(one) {
  const [before, after] = one.confusion;
  const lines = Object.entries(before).flatMap(([right, said]) => [...new Set([...Object.keys(said), ...Object.keys(after[right] ?? {})])].map((name) => [right, name, count(said[name] ?? 0), count(after[right]?.[name] ?? 0)]));
  return lines.length <= 60 ? table(["right", "said", "before", "after"], lines, { caption: `Confusion on the mine rows, round ${one.round}`, numbers: [2, 3] }) : null;
}

function variety(look) {
  const labels = Object.entries(look.labels ?? {}).map(([label, rows]) => `${label} ${count(rows)}`).join(", ");
  const drift = look.share === null ? "" : `, ${(100 * look.share).toFixed(0)} % of the first set's at equal size`;
  return h("p", { class: "quiet" }, `${look.bigrams} unique bigrams a row${drift}.${labels ? ` Labels: ${labels}.` : ""}`);
}

function pair(one) {
  return h("div", { class: "demonstration" }, h("p", { class: "quiet" }, `${one.id}: ${one.gold}, and the student said ${one.said}`), quoted(one.error), h("div", { class: "part output" }, quoted(one.written)));
}
