/** A map of examples: nearby points are alike. Points are written into pixels, so a hundred thousand stay quick. */

import { colour, legend, SERIES } from "./charts.js";
import { count, h } from "./dom.js";

const NEAR = 14; // pixels within which a point answers the pointer

/**
 * @param {{x: number[], y: number[], group: number[]}} points positions from 0 to 1
 * @param {string[]} groups names of the colours
 * @param {(place: number) => Promise<object>} read the row of a point
 * @param {(place: number) => void} open shows the row where rows are read
 */
export function map(points, groups, read, open) {
  const canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": `Map of ${count(points.x.length)} examples; arrow keys go from point to point, Enter opens one` });
  const ring = h("div", { class: "map-ring", hidden: true }), tip = h("div", { class: "map-tip", hidden: true, role: "status" });
  const place = h("div", { class: "map" }, canvas, ring, tip);
  const order = points.x.map((_, number) => number).sort((a, b) => points.x[a] - points.x[b] || points.y[a] - points.y[b]);
  const rank = new Uint32Array(order.length);
  order.forEach((point, number) => { rank[point] = number; });
  let width = 0, height = 0, chosen = -1;
  const left = (point) => 10 + points.x[point] * (width - 20), top = (point) => 10 + (1 - points.y[point]) * (height - 20);

  function draw() {
    const scale = Math.min(2, window.devicePixelRatio || 1);
    canvas.width = width * scale;
    canvas.height = height * scale;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const colours = Array.from({ length: SERIES }, (_, number) => rgb(getComputedStyle(place).getPropertyValue(`--series-${number + 1}`)));
    const size = (order.length > 20000 ? 1 : order.length > 4000 ? 1.6 : order.length > 300 ? 3 : 4) * scale;
    const strength = order.length > 20000 ? 0.35 : order.length > 4000 ? 0.5 : 0.75;
    for (let point = 0; point < order.length; point++) {
      disc(image, Math.round(left(point) * scale), Math.round(top(point) * scale), size, colours[points.group[point] % SERIES], strength);
    }
    context.putImageData(image, 0, 0);
  }

  const cells = new Map(), cell = (x, y) => Math.floor(x / NEAR) * 10000 + Math.floor(y / NEAR);
  function sort() {
    cells.clear();
    for (let point = 0; point < order.length; point++) {
      const key = cell(left(point), top(point));
      const known = cells.get(key);
      if (known) known.push(point);
      else cells.set(key, [point]);
    }
  }

  function nearest(x, y) {
    let best = -1, least = NEAR * NEAR;
    for (const dx of [-NEAR, 0, NEAR]) {
      for (const dy of [-NEAR, 0, NEAR]) {
        for (const point of cells.get(cell(x + dx, y + dy)) ?? []) {
          const far = (left(point) - x) ** 2 + (top(point) - y) ** 2;
          if (far < least) [best, least] = [point, far];
        }
      }
    }
    return best;
  }

  function surround(at) {
    ring.style.transform = `translate(${left(at) - 8}px, ${top(at) - 8}px)`;
  }

  async function point(at) {
    if (at === chosen) return;
    chosen = at;
    ring.hidden = tip.hidden = at < 0;
    if (at < 0) return;
    if (!width) arrange(); // a key may come before the first size does
    surround(at);
    const row = await read(at);
    if (chosen !== at) return;
    tip.replaceChildren(h("div", { class: "quiet" }, groups[points.group[at]] ?? ""), h("div", { class: "map-text", dir: "auto" }, row.input.slice(0, 220)), h("div", { class: "map-output", dir: "auto" }, row.output.slice(0, 120)));
    const beside = left(at) > width / 2;
    tip.style.setProperty("left", beside ? "auto" : `${Math.min(left(at) + 14, width - 60)}px`);
    tip.style.setProperty("right", beside ? `${width - left(at) + 14}px` : "auto");
    tip.style.setProperty("top", `${Math.max(0, Math.min(height - 110, top(at) - 20))}px`);
  }

  canvas.addEventListener("pointermove", (event) => point(nearest(event.offsetX, event.offsetY)));
  canvas.addEventListener("pointerleave", () => point(-1));
  canvas.addEventListener("click", (event) => {
    const at = nearest(event.offsetX, event.offsetY);
    if (at >= 0) open(at);
  });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by) {
      event.preventDefault();
      point(order[chosen < 0 ? 0 : (rank[chosen] + by + order.length) % order.length]);
    } else if (event.key === "Enter" && chosen >= 0) open(chosen);
    else if (event.key === "Escape") point(-1);
  });
  canvas.addEventListener("blur", () => point(-1));
  const arrange = () => {
    width = place.clientWidth;
    height = Math.round(Math.max(260, Math.min(560, width * 0.62)));
    if (!width) return;
    canvas.style.height = place.style.height = `${height}px`;
    draw();
    sort();
    if (chosen >= 0) surround(chosen);
  };
  new ResizeObserver(arrange).observe(place);
  document.addEventListener("themechange", () => width && draw());
  return h("div", null, legend(groups.slice(0, SERIES)), place);
}

function rgb(text) {
  const value = parseInt(text.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** A round point with a soft edge, laid over what is there. */
function disc({ data, width, height }, x, y, size, [red, green, blue], strength) {
  const reach = Math.ceil(size);
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const px = x + dx, py = y + dy, part = strength * Math.min(1, size + 0.5 - Math.hypot(dx, dy));
      if (part <= 0 || px < 0 || py < 0 || px >= width || py >= height) continue;
      const at = 4 * (py * width + px), before = data[at + 3] / 255, after = part + before * (1 - part);
      data[at] = (red * part + data[at] * before * (1 - part)) / after;
      data[at + 1] = (green * part + data[at + 1] * before * (1 - part)) / after;
      data[at + 2] = (blue * part + data[at + 2] * before * (1 - part)) / after;
      data[at + 3] = 255 * after;
    }
  }
}
