/** Pairs side by side: duplicates that went, near-copies that stayed, rows close to gold; the closest calls first. */

import { count, h, nothing, select } from "./dom.js";
import { compared } from "./detail.js";

const PAGE = 6;

/** Sets of pairs of one dataset: {name, about, pairs: [{score, left, right, why}]}, where left and right name rows. */
export async function sets(kept, dropped, dataset) {
  const found = [], index = await dropped.index();
  const { kind } = index.facets;
  const numbers = Array.from({ length: dropped.count }, (_, number) => number);
  for (const [name, wanted] of [["duplicate", "Dropped as duplicates"], ["contaminated", "Dropped as too close to gold"]]) {
    const code = kind.names.indexOf(name);
    const pairs = numbers.filter((number) => code >= 0 && kind.of[number] === code)
      .map((number) => ({ score: index.numbers.score[number], left: ["dropped", number], right: index.other[number] >= 0 ? ["kept", index.other[number]] : null }));
    found.push({ name: wanted, about: "The weakest reasons first: these are the ones to doubt.", pairs: pairs.sort((a, b) => (a.score ?? 2) - (b.score ?? 2)) });
  }
  if (dataset.uniqueness) {
    const { numbers: columns, nearest } = await kept.index();
    const seen = new Set();
    const pairs = columns["closest ROUGE-L"].map((score, number) => ({ score: score ?? 0, left: ["kept", number], right: ["kept", nearest[number]] }))
      .filter(({ left, right }) => right[1] >= 0 && !seen.has(`${right[1]} ${left[1]}`) && seen.add(`${left[1]} ${right[1]}`))
      .sort((a, b) => b.score - a.score).slice(0, 500);
    found.push({ name: "Kept, and most alike", about: "The pairs of kept examples with the highest ROUGE-L: what a stricter check would take next.", pairs });
  }
  return found;
}

/** A pager over sets of pairs. */
export function viewer(reader, all) {
  const { dataset, kept, dropped } = reader;
  const place = h("div", { class: "pairs" }), about = h("p", { class: "quiet" });
  const status = h("span", { class: "status", role: "status" });
  const filled = all.filter((one) => one.pairs.length);
  if (!filled.length) return nothing("No pairs to compare", "Nothing was dropped as a duplicate or for being too close to gold", dataset.uniqueness ? "." : ", and likeness among kept examples was not measured.");
  let set = filled[0], start = 0;
  const button = (text, name, by) => h("button", { type: "button", "aria-label": name, on: { click: () => { start += by; draw(); } } }, text);
  const back = button("‹", "Earlier pairs", -PAGE), on = button("›", "Later pairs", PAGE);
  const read = ([kind, number]) => (kind === "kept" ? kept : dropped).row(number);
  async function draw() {
    about.textContent = set.about;
    back.disabled = start === 0;
    on.disabled = start + PAGE >= set.pairs.length;
    status.textContent = `${count(start + 1)}–${count(Math.min(start + PAGE, set.pairs.length))} of ${count(set.pairs.length)}`;
    const shown = set.pairs.slice(start, start + PAGE);
    place.replaceChildren(...await Promise.all(shown.map(async ({ score, left, right }) => pair(score, await read(left), right && (await read(right)), dataset))));
  }
  draw();
  return h("div", null,
    h("div", { class: "controls" }, filled.length > 1 ? select("pairs", filled.map((one, number) => [String(number), `${one.name} (${count(one.pairs.length)})`]), "0",
      (value) => { set = filled[Number(value)]; start = 0; draw(); }) : h("strong", null, set.name), h("div", { class: "stepper" }, back, status, on)), about, place);
}

function pair(score, left, kept, dataset) {
  const right = kept ?? dataset.named[left.other];
  const whole = (row) => [row.input, row.output].filter((text) => text !== undefined).join("\n→ ");
  const texts = right ? compared(whole(left), whole(right)) : [h("div", { class: "text", dir: "auto" }, whole(left)), h("p", { class: "quiet" }, /^gold /.test(left.other ?? "") ? [`Repeats ${left.other}, whose text is not in the run: `, h("code", null, `upcycle report ${dataset.name} --gold FILE`), " shows it."] : "The other row is not on this page.")];
  return h("article", { class: "pair" },
    h("p", { class: "pair-head" }, h("span", { class: "score" }, score === null || score === undefined ? "–" : score.toFixed(3)), h("span", { dir: "auto" }, left.reason ?? "both kept")),
    h("div", { class: "sides" }, texts.map((text, side) => h("section", null, h("h4", null, side ? (kept ? "kept" : (left.other ?? "other")) : (left.kind ? "dropped" : "kept")), text))));
}
