/** A list of any length of which only the visible rows exist; one tab stop, moved through by arrow keys. */

import { h } from "./dom.js";

const HEIGHT = 58;
const AROUND = 6; // rows made beyond the visible ones

export class List {
  /** @param {(item, element) => void} fill writes an item into its row @param {(item, position) => void} choose */
  constructor(label, fill, choose) {
    this.fill = fill;
    this.choose = choose;
    this.items = [];
    this.chosen = -1;
    this.id = `list-${(List.made = (List.made ?? 0) + 1)}`;
    this.space = h("div", { class: "list-space", role: "presentation" });
    this.element = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label, id: this.id,
      on: { scroll: () => this.draw(), keydown: (event) => this.key(event), click: (event) => this.click(event) } }, this.space);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Show these items; the one at `chosen` is selected. */
  set(items, chosen = items.length ? 0 : -1) {
    this.items = items;
    this.chosen = -1;
    this.space.style.height = `${items.length * HEIGHT}px`;
    this.space.replaceChildren();
    if (chosen >= 0) this.select(chosen);
    else this.draw();
  }

  select(position) {
    if (!this.items.length) return;
    this.chosen = Math.max(0, Math.min(this.items.length - 1, position));
    const top = this.chosen * HEIGHT, { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + HEIGHT > scrollTop + clientHeight) this.element.scrollTop = top + HEIGHT - clientHeight;
    this.draw();
    this.choose(this.items[this.chosen], this.chosen);
  }

  draw() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / HEIGHT) - AROUND);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / HEIGHT) + AROUND);
    const known = new Map([...this.space.children].map((row) => [Number(row.dataset.position), row]));
    const rows = [];
    for (let position = first; position < last; position++) {
      const row = known.get(position) ?? this.make(position);
      row.setAttribute("aria-selected", String(position === this.chosen));
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
    if (this.chosen >= first && this.chosen < last) this.element.setAttribute("aria-activedescendant", `${this.id}-${this.chosen}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  make(position) {
    const row = h("div", { class: "list-row", role: "option", id: `${this.id}-${position}`, "data-position": position,
      "aria-posinset": position + 1, "aria-setsize": this.items.length, style: { top: `${position * HEIGHT}px`, height: `${HEIGHT}px` } });
    this.fill(this.items[position], row);
    return row;
  }

  click(event) {
    const row = event.target.closest(".list-row");
    if (row) this.select(Number(row.dataset.position));
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / HEIGHT) - 1);
    const to = { ArrowDown: this.chosen + 1, ArrowUp: this.chosen - 1, PageDown: this.chosen + page, PageUp: this.chosen - page,
      Home: 0, End: this.items.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.select(to);
  }
}
