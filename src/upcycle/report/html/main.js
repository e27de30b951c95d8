/** Opens the page: reads the facts, draws the sections in order, and gives rows their readers. */

import { block } from "./blocks.js";
import { Browser } from "./browser.js";
import { comparison, comparisonHeading } from "./comparison.js";
import { drop, example } from "./detail.js";
import { h, nothing, count } from "./dom.js";
import { map } from "./map.js";
import { sets, viewer } from "./pairs.js";
import { rounds } from "./rounds.js";
import { Rows } from "./rows.js";
import { cost, difficulty, figures, funnel, heading, licenceTable, plans, shape, uniqueness, unmeasured, unread } from "./sections.js";

const THEMES = { auto: "light", light: "dark", dark: "auto" };

async function open() {
  const app = document.getElementById("app");
  if (typeof DecompressionStream === "undefined") {
    app.replaceChildren(h("p", { class: "waiting" }, "This browser is too old to unpack the page's data: it needs DecompressionStream (Chrome 80, Firefox 113, Safari 16.4 or later)."));
    return;
  }
  const facts = await block("facts");
  const { datasets } = facts;
  const readers = datasets.map((dataset) => ({ dataset, kept: new Rows(dataset, "kept"), dropped: new Rows(dataset, "dropped") }));
  const examples = new Browser("examples", readers.map(({ dataset, kept }) => ({ dataset, rows: kept })), (dataset, row, query) => example(row, dataset, query));
  const drops = new Browser("dropped rows", readers.map(({ dataset, dropped }) => ({ dataset, rows: dropped })), async (dataset, row, query, number, index) => {
    const other = index.other[number];
    return drop(row, dataset, query, other >= 0 ? await readers.find((one) => one.dataset === dataset).kept.row(other) : dataset.named[row.other]);
  });
  const page = { facts, datasets, examples, drops, readers, calls: h("div") };
  const parts = chapters(page);
  app.replaceChildren(
    h("header", { class: "top" }, h("div", { class: "brand" }, "upcycle"), navigation(parts), theme()),
    h("main", { id: "main", tabindex: "-1" },
      h("header", { class: "title" }, facts.comparison ? comparisonHeading(page) : heading(page)),
      datasets.length && !facts.comparison ? figures(page) : null, unread(page),
      parts.map(({ id, name, about, content }) =>
        h("section", { class: "chapter", id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, name), about ? h("p", { class: "about" }, about) : null, content)),
      h("footer", { class: "end" }, `Made by upcycle ${facts.version}. Everything on this page is inside this file; it opens no connection.`)));
  follow(parts);
  document.addEventListener("keydown", (event) => slash(event, examples));
  await Promise.all([examples.open(), drops.open(), pairs(page)]);
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

function chapters(page) {
  const { datasets, examples, drops } = page;
  const some = datasets.some((dataset) => dataset.rows.kept.count);
  const runs = datasets.some((dataset) => dataset.kind === "run"), past = datasets.some((dataset) => dataset.kind !== "dataset");
  const dropped = datasets.some((dataset) => dataset.rows.dropped.count);
  return [
    { id: "comparison", name: "What helps", about: "The same student, trained on each set of rows and scored on the same items.", content: page.facts.comparison ? comparison(page) : null, compared: true },
    { id: "funnel", name: "From candidates to kept", short: "Funnel", about: "Every record that was tried, and where it went.", content: funnel(page), past: true },
    { id: "cost", name: "Cost", about: "What was spent, by stage and by source.", content: cost(page), runs: true },
    { id: "plans", name: "Sources and plans", short: "Plans", about: "How the records of each source become examples.", content: plans(page), runs: true },
    { id: "rounds", name: "Rounds", about: "What a small model got wrong on gold, and what writing more of that did.", content: datasets.some((dataset) => dataset.s3) ? rounds(page) : null, extrapolated: true },
    { id: "examples", name: "Examples", about: "Each beside the record it was made of. / searches, arrow keys go through the list.", content: some ? examples.element : nothing("No examples", "Nothing was kept.") },
    { id: "dropped", name: "Dropped rows", short: "Dropped", about: "Why each is not in the dataset.", content: dropped ? drops.element : nothing("No dropped rows", "Nothing was dropped, or it is not written down."), past: true },
    { id: "pairs", name: "Close calls", about: "What was taken for a copy, and what nearly was.", content: page.calls },
    { id: "shape", name: "Lengths, labels, options", short: "Shape", content: shape(page) },
    { id: "unique", name: "Uniqueness", content: uniqueness(page) },
    { id: "difficulty", name: "Difficulty", content: difficulty(page) },
    { id: "map", name: "Map", about: "Examples placed so that alike ones lie together.", content: later((place) => coverage(page, place), page.facts.mapped) },
    { id: "licences", name: "Licences", content: licenceTable(page) },
  ].filter((part) => (runs || !part.runs) && (past || !part.past) && (part.compared ? page.facts.comparison : datasets.length) && (!part.extrapolated || part.content));
}

/** A part that is made when it comes near the window, or before printing; a tall one holds its place until then. */
function later(make, tall) {
  const place = h("div", { class: tall ? "later tall" : "later" });
  const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && start(), { rootMargin: "600px" });
  function start() {
    observer.disconnect();
    window.removeEventListener("beforeprint", start);
    make(place);
  }
  observer.observe(place);
  window.addEventListener("beforeprint", start);
  return place;
}

async function pairs({ readers, calls }) {
  const made = await Promise.all(readers.map(async (reader) => viewer(reader, await sets(reader.kept, reader.dropped, reader.dataset))));
  calls.replaceChildren(...made.map((element, number) => (made.length > 1 ? h("section", null, h("h3", { class: "dataset" }, readers[number].dataset.name), element) : element)));
}

async function coverage({ facts, datasets, readers, examples }, place) {
  if (!facts.mapped) {
    place.replaceChildren(facts.measured ? nothing("Nothing to place", "A map needs at least three examples.") : unmeasured(datasets, "draws it"));
    return;
  }
  const found = await block("map");
  const read = (point) => readers[found.dataset[point]].kept.row(found.row[point]);
  const reveal = (point) => examples.reveal(found.dataset[point], found.row[point]);
  place.replaceChildren(map(found, found.groups, read, reveal), h("p", { class: "quiet measure" }, `${count(found.x.length)} points. ${found.note} A point opens its example.`));
}

function navigation(parts) {
  return h("nav", { "aria-label": "Sections" }, h("ul", null, parts.map(({ id, name, short }) => h("li", null, h("a", { href: `#${id}` }, short ?? name)))));
}

/** Marks the section in view in the navigation. */
function follow(parts) {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target.id);
    const first = parts.find(({ id }) => seen.has(id));
    for (const [id, link] of links) {
      if (first?.id === id) {
        link.setAttribute("aria-current", "true");
        const row = link.closest("ul");
        row.scrollLeft = link.offsetLeft - row.offsetLeft - (row.clientWidth - link.offsetWidth) / 2;
      } else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-15% 0px -60% 0px" });
  for (const { id } of parts) observer.observe(document.getElementById(id));
}

function theme() {
  const root = document.documentElement;
  const button = h("button", { type: "button", class: "theme", on: { click: () => set(THEMES[root.dataset.theme]) } });
  function set(name) {
    root.dataset.theme = name;
    button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[name];
    button.setAttribute("aria-label", `Colours: ${name}; press for ${THEMES[name]}`);
    document.dispatchEvent(new Event("themechange"));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
  set(root.dataset.theme);
  return button;
}

function slash(event, examples) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const reader = event.target.closest?.(".browser")?.querySelector("input[type=search]") ?? examples.search;
  if (!reader?.isConnected) return;
  event.preventDefault();
  reader.focus();
}

open();
