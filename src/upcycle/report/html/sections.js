/** What the page tells before and after the rows themselves: figures, funnel, cost, plans, shape, licences. */

import { bars, colour, curves, histogram, legend } from "./charts.js";
import { count, dollars, h, nothing, plural, share, table, tabs } from "./dom.js";

const UNSTATED = "not stated";
const spent = (dataset) => (dataset.ledger ?? []).reduce((sum, line) => sum + line.spent_micro, 0);
const calls = (dataset) => (dataset.ledger ?? []).reduce((sum, line) => sum + Math.max(line.attempts, line.calls), 0);
const tokens = (dataset) => (dataset.ledger ?? []).reduce((sum, line) => sum + line.tokens, 0);
const candidates = (dataset) => dataset.kept + dataset.dropped + (dataset.unreadable ?? 0);
const licences = (dataset) => [...new Set(dataset.licences.flatMap((line) => (line.licences.length ? line.licences : [UNSTATED])))];
const sources = (dataset) => [...new Set(dataset.licences.map((line) => line.source).filter(Boolean))];

/** Rows by what `of` gives for them, most first. */
function tally(dataset, of) {
  const counts = new Map();
  for (const line of dataset.licences) counts.set(of(line), (counts.get(of(line)) ?? 0) + line.rows);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** One part for each dataset: alone where there is one, side by side under their names where there are several. */
export function beside(datasets, make) {
  if (datasets.length === 1) return make(datasets[0], 0);
  return h("div", { class: "beside" }, datasets.map((dataset, number) =>
    h("section", null, h("h3", { class: "dataset" }, h("span", { class: "key", style: { background: colour(number) } }), dataset.name), make(dataset, number))));
}

export function heading({ datasets }) {
  const first = datasets[0];
  if (datasets.length > 1) {
    return [h("p", { class: "kicker" }, "Comparison"), h("h1", null, datasets.map((dataset) => dataset.name).join(" · ")), h("p", { class: "lead" }, `${plural(datasets.length, "dataset")} side by side.`)];
  }
  return [h("p", { class: "kicker" }, { run: "Run", curated: "Curated dataset", dataset: "Dataset" }[first.kind]), h("h1", null, first.task.name ?? first.name),
    first.task.instruction ? h("p", { class: "lead", dir: "auto" }, first.task.instruction) : null,
    outcome(first), made(first)];
}

/** When and with what a run was made, what every output had to be, and what it was shown. */
function made(dataset) {
  if (dataset.kind !== "run") return null;
  const day = dataset.at ? new Date(1000 * dataset.at).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" }) : null;
  const model = dataset.model ? `${dataset.model === "none" ? "no model" : dataset.model}` : null;
  const told = [day, model, dataset.seed !== null && dataset.seed !== undefined ? `seed ${dataset.seed}` : null].filter(Boolean).join(", ");
  const shown = dataset.task.demonstrations ?? [];
  return h("div", null,
    h("p", { class: "quiet" }, told ? `Made ${told}. ` : "", dataset.contract ? `Every output: ${dataset.contract}.` : ""),
    shown.length ? h("details", { class: "shown" }, h("summary", null, plural(shown.length, "demonstration")),
      shown.map((one) => h("div", { class: "demonstration" }, h("div", { class: "text", dir: "auto" }, one.input ?? ""), h("div", { class: "part output" }, h("div", { class: "text", dir: "auto" }, one.output ?? ""))))) : null);
}

function outcome(dataset) {
  if (dataset.kind !== "run") return dataset.read_as ? h("p", { class: "quiet" }, `Read as ${dataset.read_as}.`) : null;
  if (!dataset.ended) return h("p", { class: "warning" }, "This run has not come to its end: it was cut off, or is still working. ",
    dataset.states.kept ? `Its journal holds ${plural(dataset.states.kept, "kept row")}, which are written as a dataset at the end; the same build command goes on.` : "What is shown is what it had written.");
  if (dataset.stopped) return h("p", { class: "warning", dir: "auto" }, h("strong", null, "Stopped short. "), `${dataset.stopped[0].toUpperCase()}${dataset.stopped.slice(1)}.`);
  return null;
}

export function figures({ datasets }) {
  const made = datasets.some((dataset) => dataset.kind === "run");
  const lines = [
    ["examples", (d) => count(d.kept), (d) => (d.wanted && d.wanted !== d.kept ? `of ${count(d.wanted)} asked for` : Object.keys(d.splits).length > 1 ? Object.entries(d.splits).map(([name, rows]) => `${name} ${count(rows)}`).join(", ") : "")],
    datasets.some((d) => d.kind !== "dataset") && ["kept", (d) => (d.kind !== "dataset" ? share(d.kept, candidates(d)) : "–"), (d) => (d.kind !== "dataset" ? `of ${plural(candidates(d), "record")} tried` : "not written down")],
    made && ["cost", (d) => (d.kind === "run" ? dollars(spent(d)) : "–"), (d) => (d.kind !== "run" ? "not written down" : calls(d) ? `${plural(calls(d), "call")}, ${count(tokens(d))} tokens` : "no model was asked")],
    datasets.some(calls) && ["cost per example", (d) => (d.kept && d.kind === "run" ? dollars(spent(d) / d.kept) : "–"), () => ""],
    ["sources", (d) => count(sources(d).length), (d) => sources(d).slice(0, 3).join(", ") + (sources(d).length > 3 ? ` and ${sources(d).length - 3} more` : "")],
    datasets.some((d) => tally(d, (line) => line.method).length > 1) && ["methods", (d) => count(tally(d, (line) => line.method).length), (d) => tally(d, (line) => line.method).map(([name, rows]) => `${name} ${count(rows)}`).join(", ")],
    ["licences", (d) => count(licences(d).filter((name) => name !== UNSTATED).length), (d) => licences(d).slice(0, 3).join(", ")],
  ].filter(Boolean);
  if (datasets.length > 1) {
    return table(["", ...datasets.map((dataset) => dataset.name)], lines.map(([name, value, note]) =>
      [name, ...datasets.map((dataset) => h("span", null, value(dataset), " ", h("small", null, note(dataset))))]), { caption: "The datasets in figures" });
  }
  return h("dl", { class: "figures" }, lines.map(([name, value, note]) =>
    h("div", null, h("dt", null, name), h("dd", null, value(datasets[0])), h("dd", { class: "quiet" }, note(datasets[0])))));
}

const ORDER = ["skipped", "program", "unparseable", "api-transient", "api-fatal", "licence", "contract", "language", "duplicate", "contaminated", "artefact", "judged", "unanswered", "unhelpful", "balance"];

export function funnel({ datasets, drops }) {
  return beside(datasets, (dataset, at) => {
    const all = candidates(dataset);
    if (!all) return nothing("Nothing is written down", "No record was turned into an example, or the run has not come to its end.");
    if (!dataset.drops?.length && !dataset.unreadable) {
      return dataset.kind !== "dataset" ? nothing("Nothing was dropped", all === 1 ? "The one record became an example." : `All ${count(all)} records became examples.`)
        : nothing("A dataset without its past", "What was tried and dropped on the way to it is not written down here.");
    }
    const steps = [...dataset.drops].sort((a, b) => rank(a.kind) - rank(b.kind));
    let left = all;
    const rows = [step("candidates", all, 0, all, null)];
    if (dataset.unreadable) rows.push(step("unreadable", (left -= dataset.unreadable), dataset.unreadable, all, null));
    for (const drop of steps) rows.push(step(drop.kind, (left -= drop.count), drop.count, all, reasons(drop, (reason) => drops.only(at, { kind: drop.kind, reason }))));
    rows.push(h("li", { class: "funnel-row kept" }, h("span", { class: "funnel-name" }, "kept"), track(dataset.kept, 0, all), h("span", { class: "funnel-note" }, `${count(dataset.kept)}, ${share(dataset.kept, all)}`)));
    return h("div", null, h("ol", { class: "funnel" }, rows), checks(dataset));
  });
}

/** What `upcycle curate` did, check by check. */
function checks({ curation }) {
  if (!curation?.checks?.length) return null;
  return h("div", { class: "checks" }, table(["check", "looked at", "dropped", "note"], curation.checks.map((one) => [one.check, count(one.read), count(one.dropped), one.note]), { caption: "Check by check", numbers: [1, 2] }),
    (curation.warnings ?? []).map((text) => h("p", { class: "warning" }, text)));
}

const rank = (kind) => (ORDER.indexOf(kind) + 1 || ORDER.length + 1);

function step(name, left, gone, all, why) {
  const note = gone ? `−${count(gone)}, ${share(gone, all)}` : count(left);
  const line = [h("span", { class: "funnel-name" }, name), track(left, gone, all), h("span", { class: "funnel-note" }, note)];
  return h("li", null, why ? h("details", null, h("summary", { class: "funnel-row" }, line), why) : h("div", { class: "funnel-row" }, line));
}

function track(left, gone, all) {
  return h("span", { class: "funnel-track", "aria-hidden": "true" },
    h("span", { class: "funnel-left", style: { width: `${(100 * left) / all}%` } }), gone ? h("span", { class: "funnel-gone", style: { width: `${(100 * gone) / all}%` } }) : null);
}

function reasons(drop, read) {
  const items = drop.reasons.map(([reason, rows]) => ({ label: reason, value: rows, colour: "var(--gone)", act: () => read(reason) }));
  return h("div", { class: "reasons" }, bars(items), drop.others ? h("p", { class: "quiet" }, `and ${plural(drop.others, "row")} with other reasons`) : null,
    h("p", { class: "quiet" }, "A reason opens its rows. … stands for what differs from row to row."));
}

export function cost({ datasets }) {
  return beside(datasets, (dataset) => {
    if (dataset.kind !== "run") return nothing("No cost is written down", "Only runs keep a ledger.");
    const total = spent(dataset);
    if (!calls(dataset)) return nothing("No model was asked", "Programs re-arranged what the sources hold; this cost nothing.");
    // What costs no money costs tokens: those tell where the work went.
    const part = (line) => (total ? share(line.spent_micro, total) : share(line.tokens, tokens(dataset)));
    const stages = dataset.ledger.map((line) => [line.stage, line.model, count(line.calls), count(line.attempts), count(line.tokens), dollars(line.spent_micro), part(line)]);
    const by = new Map();
    for (const line of dataset.by_source) {
      const known = by.get(line.source) ?? { tried: 0, kept: 0, micro: 0, tokens: 0 };
      by.set(line.source, { tried: known.tried + line.rows, kept: known.kept + (line.state === "kept" ? line.rows : 0), micro: known.micro + line.micro, tokens: known.tokens + line.tokens });
    }
    const rows = [...by].sort((a, b) => b[1].micro - a[1].micro || b[1].kept - a[1].kept).map(([source, line]) =>
      [source || "none", count(line.tried), count(line.kept), count(line.tokens), dollars(line.micro), line.kept ? dollars(line.micro / line.kept) : "–"]);
    const summed = (name) => [...by.values()].reduce((sum, line) => sum + line[name], 0);
    const rest = total ? dollars(Math.max(0, total - summed("micro"))) : plural(Math.max(0, tokens(dataset) - summed("tokens")), "token");
    return h("div", null,
      table(["stage", "model", "calls", "attempts", "tokens", "cost", "share"], stages, { caption: "By stage", numbers: [2, 3, 4, 5, 6] }),
      table(["source", "tried", "kept", "tokens", "cost", "per kept example"], rows, { caption: "By source", numbers: [1, 2, 3, 4, 5] }),
      h("p", { class: "quiet" }, `Rows that were dropped count with their source. ${rest} went into calls of no row: choosing sources, writing and trying plans.`));
  });
}

export function plans({ datasets }) {
  return beside(datasets, (dataset) => {
    if (!dataset.plans?.length) return nothing("No plan", dataset.kind === "run" ? "No plan was chosen for any source." : "This dataset was not made by plans.");
    const kept = new Map(tally(dataset, (line) => line.source));
    const found = [dataset.found?.length ? `${plural(dataset.found.length, "source")} found` : null, dataset.tried?.length ? `${count(dataset.tried.length)} tried` : null,
      dataset.chosen?.length ? `${count(dataset.chosen.length)} planned` : null, `${count(sources(dataset).length)} used`].filter(Boolean).join(" → ");
    const cards = [...dataset.plans].sort((a, b) => (kept.get(b.source) ?? 0) - (kept.get(a.source) ?? 0)).map((plan) => {
      const pilot = dataset.tried?.find((one) => one.source === plan.source);
      const told = [plural(kept.get(plan.source) ?? 0, "example"), pilot ? `pilot kept ${pilot.kept} of ${pilot.tried}, score ${pilot.score.toFixed(2)}` : null, pilot ? (pilot.paid ? "asks a model" : "asks no model") : null];
      return h("details", { class: "plan", open: dataset.plans.length === 1 }, h("summary", null, h("strong", null, plan.source), h("span", { class: "quiet" }, told.filter(Boolean).join(" · "))),
        tabs(`Plan of ${plan.source}`, [["Plan", () => prose(plan.md)], ["Program", () => h("pre", { tabindex: "0" }, plan.py)], ["YAML", () => h("pre", { tabindex: "0" }, plan.yaml)]]));
    });
    const left = Object.entries(dataset.left ?? {});
    return h("div", null, h("p", { class: "lead-small" }, found), cards,
      left.length ? h("details", { class: "plan" }, h("summary", null, h("strong", null, `${plural(left.length, "source")} not used`)), table(["source", "why"], left, { caption: "Sources not used" })) : null);
  });
}

/** The few forms of Markdown a plan's page has: headings, numbered lines, bold, code. */
function prose(text) {
  const parts = [];
  for (const part of text.split(/\n{2,}/)) {
    if (part.startsWith("# ")) continue;
    const lines = part.split("\n");
    if (/^\d+\. /.test(part)) parts.push(h("ol", { class: "steps" }, lines.map((line) => h("li", null, inline(line.replace(/^\d+\. /, ""))))));
    else parts.push(h("p", null, inline(part)));
  }
  return h("div", { class: "prose" }, parts);
}

function inline(text) {
  return text.split(/(`[^`]*`|\*\*[^*]+\*\*)/).map((piece) =>
    piece.startsWith("`") ? h("code", null, piece.slice(1, -1)) : piece.startsWith("**") ? h("strong", null, piece.slice(2, -2)) : piece);
}

export function shape({ facts, datasets, examples }) {
  if (!datasets.some((dataset) => dataset.rows.kept.count)) return nothing("Nothing to measure", "There are no examples.");
  const names = datasets.map((dataset) => dataset.name);
  const sampled = datasets.filter((dataset) => dataset.rows.kept.count < dataset.kept);
  return h("div", null,
    sampled.length ? h("p", { class: "quiet" }, `Measured on the examples on this page: ${sampled.map((d) => `${count(d.rows.kept.count)} of ${count(d.kept)}${names.length > 1 ? ` of ${d.name}` : ""}`).join(", ")}.`) : null,
    legend(names),
    h("div", { class: "two" }, histogram("Input length", names, facts.lengths.input, "characters"), histogram("Output length", names, facts.lengths.output, "characters")),
    datasets.some((dataset) => dataset.labels) ? h("div", null, h("h3", null, "Labels"), beside(datasets, (dataset, at) => (dataset.labels
      ? bars(dataset.labels.map(([label, rows]) => ({ label, value: rows, note: `${count(rows)}, ${share(rows, dataset.rows.kept.count)}`, colour: colour(at), act: () => examples.only(at, { label }) })))
      : nothing("No labels", "Outputs do not repeat.")))) : null,
    datasets.some((dataset) => dataset.positions) ? h("div", null, h("h3", null, "Where the right option stands"), beside(datasets, (dataset, at) => positions(dataset, at))) : null,
    datasets.some((dataset) => dataset.openings.input.length || dataset.openings.output.length) ? h("div", null, h("h3", null, "Most common openings"), beside(datasets, (dataset, at) => openings(dataset, at))) : null);
}

function positions(dataset, at) {
  if (!dataset.positions) return nothing("No options", "These examples list none.");
  const { counts, chance, absent } = dataset.positions;
  const all = counts.reduce((sum, value) => sum + value, 0);
  return h("div", null,
    bars(counts.map((value, place) => ({ label: `option ${place + 1}`, value, chance: chance[place], note: `${count(value)}, ${share(value, all)}`, colour: colour(at) })),
      { most: Math.max(...counts, ...chance), reference: (item) => item.chance }),
    h("p", { class: "quiet" }, "The line is where chance would put it.", absent ? ` In ${plural(absent, "example")} the output is none of the options.` : ""));
}

function openings(dataset, at) {
  const part = (name) => (dataset.openings[name].length
    ? h("div", null, h("h4", null, name), bars(dataset.openings[name].map(([label, rows]) => ({ label: `${label} …`, value: rows, note: share(rows, dataset.rows.kept.count), colour: colour(at) })), { most: dataset.rows.kept.count })) : null);
  return h("div", { class: "two" }, part("input"), part("output"));
}

export function uniqueness({ facts, datasets }) {
  const measured = datasets.filter((dataset) => dataset.uniqueness);
  if (!measured.length) return facts.measured ? nothing("Nothing to compare", "Uniqueness needs at least two examples.") : unmeasured(datasets, "measures it");
  const names = measured.map((dataset) => dataset.name);
  const told = measured.filter((dataset) => dataset.uniqueness.note).map((dataset) => `${names.length > 1 ? `${dataset.name}: ` : ""}${dataset.uniqueness.note}`);
  return h("div", null, legend(names),
    curves("Examples unlike all others", names, measured.map((dataset) => dataset.uniqueness.curve), { x: "threshold T of ROUGE-L", y: "Share of examples whose ROUGE-L with every other is below T", mark: 0.7 }),
    h("p", { class: "quiet measure" }, "An example is unique at T when its ROUGE-L with every other example of its set is below T; the dashed line is at 0.7. The sooner a curve rises, the more varied the set. ", facts.rule, " ", told.join(" ")));
}

/** What a build leaves out, and the command that adds it. */
export function unmeasured(datasets, does) {
  return nothing("Not measured yet", "A build leaves this out to end quickly. ", h("code", null, `upcycle report ${datasets[0].name}`), ` ${does}.`);
}

export function difficulty({ facts, datasets }) {
  if (!facts.measured) return unmeasured(datasets, "and a second dataset beside it measure it");
  const by = Object.values(facts.difficulty)[0]?.by ?? "loss";
  if (!Object.keys(facts.difficulty).length) return nothing("One set alone has no scale", "Show it beside gold or another set: ", h("code", null, `upcycle report ${datasets[0].name} GOLD`), ".");
  return h("div", null, beside(datasets, ({ name }, at) => {
    const found = facts.difficulty[name];
    return found ? h("div", null, bars(found.shares.map((value, level) => ({ label: `level ${level + 1}`, value, note: share(value, 1), colour: colour(at) })), { most: Math.max(0.4, ...Object.values(facts.difficulty).flatMap((one) => one.shares)) }),
      h("p", { class: "quiet" }, `mean ${found.mean.toFixed(2)}`)) : nothing("No examples");
  }), h("p", { class: "quiet measure" }, ...(by.startsWith("loss of a word-bigram model") ? [`Levels are fifths by the ${by}: how unexpected the words are, which is not what they mean. `, h("code", null, "upcycle describe --model"), " has a model judge by a rubric, and ", h("code", null, "upcycle report --described"), " shows it."] : [`Levels by ${by}, as upcycle describe measured them.`])));
}

export function licenceTable({ datasets }) {
  return h("div", null, beside(datasets, (dataset) => (dataset.licences.length
    ? table(["licence", "source", "examples", "share"], tally(dataset, (line) => JSON.stringify([line.licences.join(", ") || UNSTATED, line.source || "none"])).map(([key, rows]) => [...JSON.parse(key), count(rows), share(rows, dataset.kept)]), { caption: "Licences by source", numbers: [2, 3] })
    : nothing("No examples, no licences"))),
  h("p", { class: "quiet" }, "As the sources state them; this is not legal advice."));
}

export function unread({ datasets }) {
  const some = datasets.filter((dataset) => dataset.skipped?.count);
  return some.length ? h("div", null, some.map((dataset) => h("details", { class: "plan" }, h("summary", null, h("strong", null, `${plural(dataset.skipped.count, "row")} of ${dataset.name} could not be read`)),
    table(["where", "why"], dataset.skipped.first, { caption: "Not read" })))) : null;
}
