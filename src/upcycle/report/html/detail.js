/** One row in full: what was made beside what it was made of, and two rows beside each other with what differs. */

import { count, dollars, h, marked, quoted } from "./dom.js";

/** An example beside its source record. */
export function example(row, dataset, query) {
  return h("article", { class: "detail" },
    h("div", { class: "sides" },
      h("section", { "aria-label": "Example" },
        h("h4", null, "Example"),
        part("input", row.input, query),
        row.choices && !row.choices.every((choice) => row.input.includes(choice)) ? options(row, query) : null,
        part("output", row.output, query, "output"),
        row.rationale ? part("rationale", row.rationale, query) : null),
      record(row, dataset, query)),
    origin(row, dataset));
}

/** A row that is not in the dataset: the reason, then what was made (if anything) beside its record or what it repeats. */
export function drop(row, dataset, query, other) {
  const made = row.input !== undefined || row.output !== undefined;
  return h("article", { class: "detail" },
    verdict(row, query, other),
    h("div", { class: "sides" },
      h("section", { "aria-label": "Dropped" },
        h("h4", null, made ? "What was dropped" : "Nothing was made"),
        made ? [part("input", row.input ?? "", query), part("output", row.output ?? "", query, "output")]
          : h("p", { class: "quiet" }, "The record was left out before an example came of it.")),
      other ? h("section", { "aria-label": "The row it repeats" },
        h("h4", null, "What it repeats", row.other && !other.id ? h("span", { class: "quiet" }, ` ${row.other}`) : null), part("input", other.input, query), part("output", other.output, query, "output")) : null,
      other && made ? null : record(row, dataset, query)),
    other && made ? h("details", { class: "numbers" }, h("summary", null, "Its source record"), record(row, dataset, query)) : null,
    origin(row, dataset));
}

function verdict(row, query, other) {
  return h("div", { class: "verdict" },
    h("span", { class: "tag" }, row.kind),
    h("span", { class: "verdict-reason", dir: "auto" }, ...marked(row.reason, query)),
    row.score !== undefined ? h("span", { class: "quiet" }, `score ${Number(row.score).toFixed(3)}`) : null,
    row.other && !other ? h("span", { class: "quiet" }, `of ${row.other}`) : null);
}

export function part(name, text, query, kind = "") {
  return h("div", { class: `part ${kind}` }, h("div", { class: "part-name" }, name),
    text === "" ? h("p", { class: "quiet" }, "empty") : quoted(text, query));
}

function options(row, query) {
  return h("div", { class: "part" }, h("div", { class: "part-name" }, "options"),
    h("ol", { class: "options" }, row.choices.map((choice) =>
      h("li", { class: choice === row.output ? "right" : null, dir: "auto" }, ...marked(choice, query)))));
}

function record(row, dataset, query) {
  const from = row.origin.source;
  const head = h("h4", null, "Source record", from ? h("span", { class: "quiet" }, ` ${from}`) : null);
  if (row.fields) {
    return h("section", { "aria-label": "Source record" }, head,
      row.changed ? h("p", { class: "warning" }, "The source has changed since: this is the record as it was when this page was written.") : null,
      h("dl", { class: "fields" }, Object.entries(row.fields).map(([name, value]) =>
        h("div", null, h("dt", null, name, used(value, row)), h("dd", null, value === "" ? h("span", { class: "quiet" }, "empty") : quoted(value, query))))));
  }
  const why = !from || row.origin.record === undefined
    ? "This row names no record of a source."
    : `The record is not on this page: ${dataset.missing[from] ?? "it was not read"}.`;
  return h("section", { "aria-label": "Source record" }, head, h("p", { class: "quiet" }, why));
}

/** Where a field's value stands in the example word for word. */
function used(value, row) {
  const wanted = value.trim();
  if (wanted.length < 2) return null;
  return ["input", "output"].filter((name) => stands(wanted, row[name] ?? "")).map((name) => h("span", { class: "tag small" }, `in the ${name}`));
}

/** Whether a text holds another between word boundaries. */
function stands(wanted, text) {
  const letter = /[\p{L}\p{N}]/u;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    const before = text[at - 1] ?? " ", after = text[at + wanted.length] ?? " ";
    if (!(letter.test(before) && letter.test(wanted[0])) && !(letter.test(after) && letter.test(wanted.at(-1)))) return true;
  }
  return false;
}

function origin(row, dataset) {
  const { origin: from } = row;
  const told = [
    from.record !== undefined ? `record ${[from.config, from.split, from.record].filter(Boolean).join("/")}` : null,
    from.revision ? `revision ${from.revision.slice(0, 12)}` : null,
    from.method ? `method ${from.method}` : null,
    from.plan ? `plan ${from.plan}` : null,
    from.model ? `model ${from.model}` : null,
    from.round !== undefined ? `round ${from.round}` : null,
    from.calls ? `${count(from.calls)} calls, ${dollars(from.cost_micro_usd ?? 0)}, ${count(from.tokens ?? 0)} tokens` : null,
    from.licences.length ? `licence ${from.licences.join(", ")}` : row.kind ? null : "licence not stated",
  ];
  return h("footer", { class: "origin" }, h("code", null, row.id), told.filter(Boolean).map((text) => h("span", null, text)),
    dataset.kind === "run" ? h("code", null, `upcycle why ${dataset.name} ${row.id.slice(0, 8)}`) : null);
}

// -- two texts beside each other --------------------------------------------------------------------------------------

const MOST_WORDS = 600;

/** Both texts with the words that are only in one of them marked. */
export function compared(left, right) {
  const words = [left, right].map((text) => text.match(/\s+|[^\s]+/g) ?? []);
  if (words.some((one) => one.length > 2 * MOST_WORDS)) return [quoted(left), quoted(right)];
  const plain = words.map((one) => one.filter((word) => word.trim()));
  const shared = common(plain[0], plain[1]);
  return words.map((one, side) => {
    let place = 0;
    const parts = one.map((word) => (word.trim() && !shared[side].has(place++) ? h("ins", null, word) : word));
    return h("div", { class: "text", dir: "auto" }, parts);
  });
}

/** Places of a longest common subsequence in either list. */
function common(left, right) {
  const rows = left.length + 1, columns = right.length + 1;
  const lengths = new Uint16Array(rows * columns);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * columns + j] = left[i] === right[j] ? lengths[(i + 1) * columns + j + 1] + 1
        : Math.max(lengths[(i + 1) * columns + j], lengths[i * columns + j + 1]);
    }
  }
  const places = [new Set(), new Set()];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) {
      places[0].add(i++);
      places[1].add(j++);
    } else if (lengths[(i + 1) * columns + j] >= lengths[i * columns + j + 1]) i++;
    else j++;
  }
  return places;
}
