/** The rows of one dataset, kept or dropped: decoded block by block, filtered by columns, searched in the background. */

import { block, unpacked } from "./blocks.js";

const AT_ONCE = 16; // blocks unpacked beside each other in a search

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
    const found = [], step = query ? AT_ONCE * this.size : this.count || 1;
    for (let start = 0; start < this.count; start += step) {
      const end = Math.min(this.count, start + step), parts = [];
      for (let from = start; from < end; from += this.size) parts.push(this.part(from, Math.min(end, from + this.size), query, pass));
      for (const part of await Promise.all(parts)) found.push(...part);
      if (!tell(found, end)) return;
    }
    if (this.count === 0) tell(found, 0);
  }

  /** The rows of one block that are wanted and hold the query. */
  async part(start, end, query, pass) {
    const wanted = [];
    for (let number = start; number < end; number++) if (pass(number)) wanted.push(number);
    if (!query || !wanted.length) return wanted;
    const name = `${this.name}.${start / this.size}`;
    // What stands in a text stands in its JSON, escaped alike; most blocks hold nothing and are never parsed.
    const json = await unpacked(name);
    if (!json.toLowerCase().includes(JSON.stringify(query).slice(1, -1).toLowerCase())) return [];
    const rows = JSON.parse(json);
    return wanted.filter((number) => holds(rows[number - start], query));
  }
}

function holds(row, query) {
  const texts = [row.id, row.input, row.output, row.rationale, row.reason, row.other, ...Object.values(row.fields ?? {})];
  return texts.some((text) => typeof text === "string" && text.toLowerCase().includes(query));
}
