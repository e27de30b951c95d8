/** The rows of one dataset, kept or dropped: decoded block by block, filtered by columns, searched in the background. */

import { block } from "./blocks.js";

export class Rows {
  /** @param {object} dataset facts of one dataset @param {"kept"|"dropped"} kind */
  constructor(dataset, kind) {
    this.name = `${dataset.key}.${kind}`;
    this.count = dataset.rows[kind].count;
    this.total = kind === "kept" ? dataset.kept : dataset.dropped;
    this.size = dataset.rows[kind].block;
  }

  /** Columns that lists are filtered and sorted by. */
  index() {
    return block(`${this.name}.index`);
  }

  async row(number) {
    const rows = await block(`${this.name}.${Math.floor(number / this.size)}`);
    return rows[number % this.size];
  }

  /**
   * Numbers of the rows for which `pass` holds and which contain `query`, in order; told piece by piece.
   * `tell(numbers, searched)` returns false to stop.
   */
  async search(query, pass, tell) {
    const found = [];
    for (let start = 0; start < this.count; start += this.size) {
      const end = Math.min(this.count, start + this.size);
      const wanted = [];
      for (let number = start; number < end; number++) if (pass(number)) wanted.push(number);
      if (query && wanted.length) {
        const rows = await block(`${this.name}.${start / this.size}`);
        for (const number of wanted) if (holds(rows[number - start], query)) found.push(number);
      } else {
        found.push(...wanted);
      }
      const last = end === this.count;
      if (query && !last && (start / this.size) % 32 === 31) {
        if (!tell(found, end)) return;
        await new Promise((resolve) => setTimeout(resolve));
      } else if (last) tell(found, end);
    }
    if (this.count === 0) tell(found, 0);
  }
}

function holds(row, query) {
  const texts = [row.id, row.input, row.output, row.rationale, row.reason, row.other, ...Object.values(row.fields ?? {})];
  return texts.some((text) => typeof text === "string" && text.toLowerCase().includes(query));
}
