/** Elements and numbers. Every text of a dataset goes through a text node: nothing of it is ever read as HTML. */

/** An element; children are elements or texts, null ones are left out. `on` holds listeners. */
export function h(tag, props, ...children) {
  return filled(document.createElement(tag), props, children);
}

export function svg(tag, props, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const whole = new Intl.NumberFormat("en-US");

export const count = (value) => whole.format(value);

export function share(part, of) {
  if (!of) return "–";
  const percent = (100 * part) / of;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return `${percent.toFixed(percent >= 99.95 || percent === 0 ? 0 : percent < 10 ? 1 : 0)} %`;
}

/** Dollars from millionths, with as many digits as say something. */
export function dollars(micro) {
  const value = micro / 1e6;
  if (value === 0) return "$0";
  const digits = value >= 100 ? 0 : value >= 1 ? 2 : value >= 0.01 ? 4 : 6;
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export function plural(value, one, many) {
  return `${count(value)} ${value === 1 ? one : (many ?? `${one}s`)}`;
}

/** A text of a dataset, shown as it is, in its own direction. */
export function quoted(text, query, tag = "div") {
  return h(tag, { class: "text", dir: "auto" }, ...marked(text, query));
}

/** The text with every place of the query marked. */
export function marked(text, query) {
  if (!query) return [text];
  const found = [];
  const lower = text.toLowerCase();
  // Lower-casing changes the length of a few letters; then nothing is marked rather than the wrong place.
  if (lower.length !== text.length) return [text];
  let from = 0;
  for (let at = lower.indexOf(query); at >= 0; at = lower.indexOf(query, from)) {
    found.push(text.slice(from, at), h("mark", null, text.slice(at, at + query.length)));
    from = at + query.length;
  }
  return [...found, text.slice(from)];
}

/** A table whose cells are texts or elements; columns that hold numbers are set right. */
export function table(head, rows, { caption, numbers = [] } = {}) {
  const cell = (tag, value, column) =>
    h(tag, { class: numbers.includes(column) ? "number" : null, scope: tag === "th" ? "col" : null }, value);
  return h("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption ?? "table" },
    h("table", null,
      caption ? h("caption", null, caption) : null,
      h("thead", null, h("tr", null, head.map((value, column) => cell("th", value, column)))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map((value, column) => cell("td", value, column)))))));
}

/** Tabs: a list of [name, make]; a panel is made when it is first shown. */
export function tabs(label, panels) {
  const id = `tabs-${(tabs.made = (tabs.made ?? 0) + 1)}`;
  const panel = h("div", { class: "panel", role: "tabpanel", id: `${id}-panel`, tabindex: "0" });
  const buttons = panels.map(([name], number) =>
    h("button", { role: "tab", type: "button", id: `${id}-${number}`, "aria-controls": `${id}-panel`,
      on: { click: () => show(number), keydown: (event) => move(event, number) } }, name));
  const made = [];
  function show(number) {
    buttons.forEach((button, other) => {
      button.setAttribute("aria-selected", String(other === number));
      button.tabIndex = other === number ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `${id}-${number}`);
    panel.replaceChildren((made[number] ??= panels[number][1]()));
  }
  function move(event, number) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (number + step + buttons.length) % buttons.length;
    show(next);
    buttons[next].focus();
  }
  show(0);
  return h("div", { class: "tabs" }, h("div", { role: "tablist", "aria-label": label }, buttons), panel);
}

/** A labelled select; options are [value, text]. */
export function select(label, options, chosen, change) {
  const box = h("select", { on: { change: () => change(box.value) } },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  return h("label", { class: "field" }, h("span", null, label), box);
}

/** What stands where there is nothing to show: why, and what would change it. */
export function nothing(title, ...why) {
  return h("div", { class: "nothing" }, h("p", { class: "nothing-title" }, title), why.length ? h("p", null, ...why) : null);
}
