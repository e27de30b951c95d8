/** Reading rows: a list with filters and search on one side, the chosen row in full on the other. */

import { count, h, select } from "./dom.js";
import { List } from "./list.js";

/** A reader of rows; `show(dataset, row, query, number)` gives the element of a chosen row. */
export class Browser {
  constructor(label, readers, show) {
    this.label = label;
    this.readers = readers; // [{dataset, rows}]
    this.show = show;
    this.at = Math.max(0, readers.findIndex(({ rows }) => rows.count > 0));
    this.filters = {};
    this.order = "";
    this.query = "";
    this.turn = 0;
    this.list = new List(label, (number, element) => this.fill(number, element), (number, position) => this.choose(number, position));
    this.controls = h("div", { class: "controls" });
    this.status = h("p", { class: "status", role: "status" });
    const step = (by, name, text) => h("button", { type: "button", disabled: true, "aria-label": name, on: { click: () => this.list.select(this.list.chosen + by) } }, text);
    this.back = step(-1, "Previous row", "‹");
    this.next = step(1, "Next row", "›");
    this.place = h("span");
    this.detail = h("div", { "aria-live": "polite" });
    const beside = h("div", { class: "detail-place" }, h("div", { class: "stepper" }, this.back, this.place, this.next), this.detail);
    this.element = h("div", { class: "browser" }, this.controls,
      h("div", { class: "browser-sides" }, h("div", { class: "browser-list" }, this.status, this.list.element), beside));
  }

  get reader() {
    return this.readers[this.at];
  }

  /** Read the index of the dataset and show its rows; call it again after another dataset was chosen. */
  async open() {
    this.index = await this.reader.rows.index();
    this.arrange();
    await this.apply();
  }

  arrange() {
    const search = h("input", { type: "search", placeholder: "Search all texts", value: this.query, "aria-label": `Search ${this.label}`,
      "aria-keyshortcuts": "/", on: { input: () => this.searched(search.value), keydown: (event) => this.leave(event) } });
    this.search = search;
    const datasets = this.readers.length > 1
      ? select("dataset", this.readers.map(({ dataset }, number) => [String(number), dataset.name]), String(this.at), (value) => this.turnTo(Number(value)))
      : null;
    const facets = Object.entries(this.index.facets).filter(([, facet]) => facet.names.length > 1).map(([name, facet]) =>
      select(name, [["", "all"], ...counted(facet)], this.filters[name] ?? "", (value) => this.filter(name, value)));
    const orders = Object.entries(this.index.numbers).filter(([, values]) => values.some((value) => value !== null))
      .flatMap(([name]) => [[`-${name}`, `${name}, most first`], [`+${name}`, `${name}, least first`]]);
    this.controls.replaceChildren(h("label", { class: "field grow" }, h("span", null, "search"), search), ...[datasets, ...facets,
      orders.length ? select("order", [["", "as in the dataset"], ...orders], this.order, (value) => { this.order = value; this.apply(); }) : null].filter(Boolean));
  }

  async turnTo(at) {
    this.at = at;
    this.filters = {};
    await this.open();
  }

  filter(name, value) {
    this.filters = { ...this.filters, [name]: value };
    return this.apply();
  }

  /** Show only rows with these values of facets, by their names; from a click elsewhere on the page. */
  async only(at, values) {
    if (at !== this.at || !this.index) {
      this.at = at;
      this.index = await this.reader.rows.index();
    }
    this.query = "";
    this.filters = Object.fromEntries(Object.entries(values).map(([name, value]) =>
      [name, String(this.index.facets[name]?.names.indexOf(value) ?? -1)]));
    this.arrange();
    await this.apply();
    this.element.scrollIntoView({ block: "start" });
    this.list.element.focus({ preventScroll: true });
  }

  /** Show one row by its number. */
  async reveal(at, number) {
    await this.only(at, {});
    const position = this.list.items.indexOf(number);
    if (position >= 0) this.list.select(position);
  }

  searched(value) {
    this.query = value.trim().toLowerCase();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.apply(), 120);
  }

  leave(event) {
    if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    event.preventDefault();
    this.list.element.focus();
  }

  async apply() {
    const turn = ++this.turn, { rows } = this.reader;
    const wanted = Object.entries(this.filters).filter(([, value]) => value !== "").map(([name, value]) => [this.index.facets[name].of, Number(value)]);
    await rows.search(this.query, (number) => wanted.every(([of, value]) => of[number] === value), (found, searched) => {
      if (turn !== this.turn) return false;
      const done = searched === rows.count;
      this.status.textContent = `${count(found.length)} of ${count(rows.count)} rows${rows.count < rows.total ? ` on this page, of ${count(rows.total)} in all` : ""}${done ? "" : `, searched ${count(searched)} so far`}`;
      this.element.style.setProperty("--rows", found.length);
      if (done) this.list.set(this.ordered(found));
      else this.list.set(found.slice(), -1);
      if (done && !found.length) {
        this.place.textContent = "";
        this.back.disabled = this.next.disabled = true;
        this.detail.replaceChildren(h("p", { class: "nothing" }, rows.count ? "No row matches. Take a filter away, or search for less." : "There are no rows."));
      }
      return true;
    });
  }

  ordered(found) {
    if (!this.order) return found;
    const values = this.index.numbers[this.order.slice(1)], sign = this.order[0] === "-" ? -1 : 1;
    if (!values) return found;
    const has = found.filter((number) => values[number] !== null), not = found.filter((number) => values[number] === null);
    return [...has.sort((a, b) => sign * (values[a] - values[b]) || a - b), ...not];
  }

  async fill(number, element) {
    const { rows, dataset } = this.reader, of = (name) => {
      const facet = this.index.facets[name];
      return facet ? facet.names[facet.of[number]] : "";
    };
    const row = await rows.row(number);
    const first = preview(row.input, dataset) ?? row.reason ?? Object.values(row.fields ?? {})[0] ?? "";
    const second = row.kind ? `${row.kind} · ${row.input === undefined ? of("source") : row.reason}` : row.output;
    element.append(h("div", { class: "list-first", dir: "auto" }, first.slice(0, 200)), h("div", { class: "list-second", dir: "auto" }, second.slice(0, 120)));
  }

  async choose(number, position) {
    const { rows, dataset } = this.reader, turn = (this.chosen = number);
    const shown = await this.show(dataset, await rows.row(number), this.query, number, this.index, rows);
    if (turn !== this.chosen) return;
    this.detail.replaceChildren(shown);
    this.detail.parentElement.scrollTop = 0;
    this.place.textContent = `${count(position + 1)} of ${count(this.list.items.length)}`;
    this.back.disabled = position === 0;
    this.next.disabled = position === this.list.items.length - 1;
  }
}

/** The beginning of an input that tells it from the others: where most begin alike, what comes after the first line. */
function preview(text, { openings, rows }) {
  if (text === undefined) return undefined;
  const [common, times] = openings.input[0] ?? ["", 0], end = text.indexOf("\n");
  const alike = 2 * times > rows.kept.count && rows.kept.count > 2 && end > 0 && text.startsWith(common);
  return (alike ? text.slice(end + 1) : text).replace(/^choice: /, "").replaceAll("\nchoice: ", " · ");
}

function counted({ names, of }) {
  const counts = new Array(names.length).fill(0);
  for (const value of of) counts[value]++;
  return names.map((name, number) => [String(number), `${name || "none"} (${count(counts[number])})`])
    .sort((a, b) => counts[Number(b[0])] - counts[Number(a[0])]);
}
