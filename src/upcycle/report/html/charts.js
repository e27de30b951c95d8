/** Charts drawn as SVG at the width they have, each with its numbers in a table below. */

import { count, h, share, svg, table } from "./dom.js";

export const SERIES = 6; // colours in the style sheet: --series-1 to --series-6

/** Colour of the n-th dataset or source, as a CSS value. */
export function colour(number) {
  return `var(--series-${(number % SERIES) + 1})`;
}

/** A figure that draws itself anew when its width changes. `draw(width)` returns an SVG element. */
export function figure(title, summary, draw, numbers) {
  const place = h("div", { class: "chart", role: "img", "aria-label": summary });
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (width && width !== drawn) {
      drawn = width;
      place.replaceChildren(draw(width));
    }
  }).observe(place);
  return h("figure", null, h("figcaption", null, title), place,
    numbers ? h("details", { class: "numbers" }, h("summary", null, "Numbers"), numbers()) : null);
}

/** Names of the series with their colours; nothing where there is one only. */
export function legend(names) {
  if (names.length < 2) return null;
  return h("ul", { class: "legend" }, names.map((name, number) =>
    h("li", null, h("span", { class: "key", style: { background: colour(number) } }), name)));
}

/** Horizontal bars: items are {label, value, note, colour, act}; `act` makes the label a button. */
export function bars(items, { most = Math.max(1, ...items.map((item) => item.value)), reference = null } = {}) {
  return h("ul", { class: "bars" }, items.map((item) =>
    h("li", null,
      item.act
        ? h("button", { type: "button", class: "bar-label link", dir: "auto", on: { click: item.act } }, item.label)
        : h("span", { class: "bar-label", dir: "auto" }, item.label),
      h("span", { class: "bar-track", "aria-hidden": "true" },
        h("span", { class: "bar", style: { width: `${(100 * item.value) / most}%`, background: item.colour ?? colour(0) } }),
        reference ? h("span", { class: "bar-mark", style: { left: `${(100 * reference(item)) / most}%` } }) : null),
      h("span", { class: "bar-note" }, item.note ?? count(item.value)))));
}

const PAD = { top: 10, right: 12, bottom: 40, left: 46 };

function frame(width, height, x, y) {
  const right = width - PAD.right, bottom = height - PAD.bottom;
  const parts = [];
  for (const { at, text } of y.ticks) {
    const line = bottom - at * (bottom - PAD.top);
    parts.push(svg("line", { class: "grid", x1: PAD.left, x2: right, y1: line, y2: line }),
      svg("text", { class: "tick", x: PAD.left - 8, y: line + 4, "text-anchor": "end" }, text));
  }
  for (const { at, text } of x.ticks) {
    parts.push(svg("text", { class: "tick", x: PAD.left + at * (right - PAD.left), y: bottom + 16, "text-anchor": "middle" }, text));
  }
  parts.push(svg("line", { class: "axis", x1: PAD.left, x2: right, y1: bottom, y2: bottom }),
    svg("text", { class: "axis-title", x: (PAD.left + right) / 2, y: height - 4, "text-anchor": "middle" }, x.title));
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parts);
}

/** Counts over shared bins: columns for one dataset, outlines of shares for several. */
export function histogram(title, names, { edges, counts, median }, unit) {
  const totals = counts.map((one) => one.reduce((sum, value) => sum + value, 0));
  const shares = counts.map((one, series) => one.map((value) => (totals[series] ? value / totals[series] : 0)));
  const top = niceTop(Math.max(0.01, ...shares.flat()));
  const told = names.map((name, series) => `${names.length > 1 ? `${name}: ` : ""}median ${count(median[series] ?? 0)} ${unit}`);
  const label = (bin) => (bin === edges.length - 1 ? `${count(edges[bin])} and more` : `${count(edges[bin])}–${count(edges[bin + 1] - 1)}`);
  const draw = (width) => {
    const height = 210, right = width - PAD.right, bottom = height - PAD.bottom;
    const step = (right - PAD.left) / edges.length;
    const every = Math.max(1, Math.ceil(edges.length / Math.max(2, Math.floor(width / 70))));
    const root = frame(width, height,
      { title: unit, ticks: edges.map((edge, bin) => ({ at: bin / edges.length, text: count(edge) })).filter((_, bin) => bin % every === 0) },
      { ticks: [0, 0.5, 1].map((at) => ({ at, text: share(at * top, 1) })) });
    shares.forEach((one, series) => {
      if (names.length === 1) {
        one.forEach((value, bin) => {
          const tall = (value / top) * (bottom - PAD.top);
          const column = svg("rect", { class: "column", x: PAD.left + bin * step + 0.5, width: Math.max(1, step - 1), y: bottom - tall, height: tall });
          column.append(svg("title", null, `${label(bin)} ${unit}: ${count(counts[0][bin])}`));
          root.append(column);
        });
      } else {
        const points = one.flatMap((value, bin) => {
          const y = bottom - (value / top) * (bottom - PAD.top);
          return [`${PAD.left + bin * step},${y}`, `${PAD.left + (bin + 1) * step},${y}`];
        });
        const line = svg("polyline", { class: "line", points: points.join(" ") });
        line.style.stroke = colour(series);
        root.append(line);
      }
    });
    return root;
  };
  const numbers = () => table([unit, ...names], edges.map((_, bin) => [label(bin), ...counts.map((one) => count(one[bin]))]),
    { caption: title, numbers: names.map((_, series) => series + 1) });
  return figure(h("span", null, title, " ", h("small", null, told.join(" · "))), `${title}; ${told.join("; ")}`, draw, numbers);
}

function niceTop(value) {
  return [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1].find((top) => top >= value) ?? 1;
}

/** Curves from 0 to 1 over thresholds from 0 to 1: series are arrays of shares at equal steps. */
export function curves(title, names, series, { x, y, mark }) {
  const at = (values, place) => values[Math.round(place * (values.length - 1))];
  const told = names.map((name, number) => `${names.length > 1 ? `${name}: ` : ""}${share(at(series[number], mark), 1)} at ${mark}`);
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1];
  const draw = (width) => {
    const height = Math.min(320, Math.max(220, width * 0.5)), right = width - PAD.right, bottom = height - PAD.bottom;
    const left = (place) => PAD.left + place * (right - PAD.left);
    const root = frame(width, height, { title: x, ticks: ticks.map((tick) => ({ at: tick, text: tick.toFixed(1) })) },
      { ticks: [0, 0.25, 0.5, 0.75, 1].map((tick) => ({ at: tick, text: `${100 * tick} %` })) });
    root.append(svg("line", { class: "mark", x1: left(mark), x2: left(mark), y1: PAD.top, y2: bottom }));
    series.forEach((values, number) => {
      const points = values.map((value, place) => `${left(place / (values.length - 1))},${bottom - value * (bottom - PAD.top)}`);
      const line = svg("polyline", { class: `line dash-${number % 3}`, points: points.join(" ") });
      line.style.stroke = colour(number);
      root.append(line);
    });
    const cursor = svg("line", { class: "cursor", y1: PAD.top, y2: bottom, visibility: "hidden" });
    const reading = svg("text", { class: "reading", y: PAD.top + 12 });
    root.append(cursor, reading);
    root.addEventListener("pointermove", (event) => {
      const place = Math.min(1, Math.max(0, (event.offsetX - PAD.left) / (right - PAD.left)));
      cursor.setAttribute("visibility", "visible");
      cursor.setAttribute("x1", left(place));
      cursor.setAttribute("x2", left(place));
      reading.setAttribute("x", place > 0.6 ? left(place) - 6 : left(place) + 6);
      reading.setAttribute("text-anchor", place > 0.6 ? "end" : "start");
      reading.textContent = `T ${place.toFixed(2)}: ${series.map((values) => share(at(values, place), 1)).join(" · ")}`;
    });
    return root;
  };
  const numbers = () => table(["T", ...names], Array.from({ length: 21 }, (_, step) => [(step / 20).toFixed(2),
    ...series.map((values) => share(at(values, step / 20), 1))]), { caption: y, numbers: names.map((_, number) => number + 1) });
  return figure(h("span", null, title, " ", h("small", null, told.join(" · "))), `${title}; ${told.join("; ")}`, draw, numbers);
}
