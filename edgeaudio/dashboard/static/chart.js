// Counts over time, as stacked bars by label, and as a table. Each bar leads to the history of its span.
// Owns: which spans there are, what is drawn. Does not know: how counts are kept, where days begin (zones.js).

import { address, ask, node, table } from "./dom.js";
import { zone } from "./zone.js";
import { edges, fields, offset, steps } from "./zones.js";

const DAY_MS = 86_400_000;
const MAX_DAYS = 400, MAX_HOURS_DAYS = 14;
const MAX_EXACT = 10_000;
const TICKS = 7; // below the bars, at most
const BASE = 12; // per cent of the height, above the highest bar
export const PERIODS = { "24h": ["24 hours", 1], "7d": ["7 days", 7], "30d": ["30 days", 30], "365d": ["A year", 365] };
const formats = {
  quarter: new Intl.DateTimeFormat(undefined, { timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
  hour: new Intl.DateTimeFormat(undefined, { timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
  zoned: new Intl.DateTimeFormat(undefined, { timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" }),
  day: new Intl.DateTimeFormat(undefined, { timeZone: zone, weekday: "short", day: "numeric", month: "short", year: "numeric" }),
  dayTick: new Intl.DateTimeFormat(undefined, { timeZone: zone, day: "numeric", month: "short" }),
  hourTick: new Intl.DateTimeFormat(undefined, { timeZone: zone, hour: "2-digit", minute: "2-digit" }),
};
const NAMES = { quarter: "quarter of an hour", hour: "hour", day: "day" };

// The span of a filter: from and until in Unix ms. Without them the last day, or `last`.
export function spanOf(filter) {
  const until = Number(filter.until) || Date.now();
  const days = Object.hasOwn(PERIODS, filter.last) ? PERIODS[filter.last][1] : 1;
  const from = Number(filter.from) || until - days * DAY_MS;
  return { from: Math.max(from, until - MAX_DAYS * DAY_MS), until };
}

export function amount(count) {
  return count > MAX_EXACT ? `over ${MAX_EXACT.toLocaleString()}` : count.toLocaleString();
}

// Quarters of an hour, hours or days: as wanted if that serves, and what else would.
function unitsOf({ from, until }, wanted) {
  const days = (until - from) / DAY_MS;
  const possible = [...(days <= 0.25 ? ["quarter"] : []), ...(days > 0.25 && days <= MAX_HOURS_DAYS ? ["hour"] : []), ...(days > 1.1 ? ["day"] : [])];
  const usual = days <= 4 ? possible[0] : "day", unit = possible.includes(wanted) ? wanted : usual;
  return [unit, possible.filter((each) => each !== unit)];
}

// A number at the top of the scale that is easy to read: 1, 2, 5, 10 ...
function scale(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 4, 5, 10].map((times) => times * power).find((top) => top >= most && (top >= 2 || most <= 1));
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export async function chart(filter) {
  const span = spanOf(filter);
  if (!(span.until > span.from)) return node("p", { class: "note" }, "The chart is empty: the time ends before it begins.");
  const [unit, others] = unitsOf(span, filter.by);
  const marks = edges(unit, span.from, span.until, zone);
  const { device, source, label, min_score } = filter;
  const answer = await ask(`api/counts${address({ device, source, label, min_score, from: marks[0], steps: steps(marks) })}`);
  const series = answer.labels.map(([name, counts], index) => ({ name, counts, kind: `c${index}` }));
  if (answer.others.some((count) => count > 0)) series.push({ name: "other sounds", counts: answer.others, kind: "others" });
  const shifts = offset(marks[0], zone) !== offset(marks.at(-1), zone);
  const bars = marks.slice(0, -1).map((from, index) => ({
    from, until: marks[index + 1],
    name: formats[shifts && unit !== "day" ? "zoned" : unit].format(from),
    parts: series.map(({ name, counts, kind }) => ({ name, kind, count: counts[index] })).filter(({ count }) => count > 0),
    total: series.reduce((sum, { counts }) => sum + counts[index], 0),
    link: address({ view: "history", device, source, label, min_score, from, until: marks[index + 1] }),
  }));
  const total = bars.reduce((sum, bar) => sum + bar.total, 0);
  const score = filter.min_score ? ` with a score from ${Math.ceil(Number(filter.min_score) * 100 - 1e-9) / 100}` : "";
  const edge = new Intl.DateTimeFormat(undefined, { timeZone: zone, dateStyle: "medium", ...(unit === "day" ? {} : { timeStyle: "short" }) });
  const last = unit === "day" ? marks.at(-1) - 1 : marks.at(-1);
  const text = `${total === 1 ? "1 sound" : `${amount(total)} sounds`}${score}${filter.verdict ? " of every verdict but wrong" : ""} by the ${NAMES[unit]}, ${edge.format(marks[0])} to ${edge.format(last)}, ${zone}`;
  return node("figure", { class: "chart" },
    node("figcaption", {}, text, ...others.flatMap((by) => [" · ", node("a", { href: address({ view: "history", ...filter, by }) }, `by the ${NAMES[by]}`)])),
    total > 0 ? draw(bars, unit) : node("p", { class: "empty" }, "No sound in this time."),
    total > 0 && bars.length > 1 ? ticks(bars, unit) : "",
    series.length > 1 ? legend(series, filter) : "",
    total > 0 ? asTable(bars, unit) : "");
}

function draw(bars, unit) {
  const top = scale(Math.max(...bars.map((bar) => bar.total))), height = (count) => (100 - BASE) * count / top;
  // read as a table; the pointer gets here what that has
  const drawing = svg("svg", { class: "bars", "aria-hidden": "true" });
  for (const value of top >= 2 ? [top, top / 2] : [top]) {
    drawing.append(svg("line", { x1: "0", x2: "100%", y1: `${100 - height(value)}%`, y2: `${100 - height(value)}%` }));
  }
  const width = 100 / bars.length, gap = bars.length > 120 ? 0.1 : 0.18;
  bars.forEach((bar, index) => {
    const title = svg("title", {});
    title.textContent = `${bar.name}: ${amount(bar.total)}${bar.parts.length > 1 ? ` (${parts(bar)})` : bar.parts.length ? ` ${bar.parts[0].name}` : ""}`;
    const link = svg("a", { href: bar.link, tabindex: "-1", "data-count": bar.total }, title,
      svg("rect", { class: "room", x: `${index * width}%`, width: `${width}%`, y: "0", height: "100%" }));
    let below = 0;
    for (const { kind, count } of bar.parts) {
      below += count;
      link.append(svg("rect", { class: kind, x: `${(index + gap / 2) * width}%`, width: `${(1 - gap) * width}%`, y: `${100 - height(below)}%`, height: `${height(count)}%` }));
    }
    drawing.append(link);
  });
  for (const value of top >= 2 ? [top, top / 2] : [top]) {
    const mark = svg("text", { x: "4", y: `${100 - height(value)}%`, dy: "-4" });
    mark.textContent = value.toLocaleString();
    drawing.append(mark);
  }
  drawing.dataset.unit = unit;
  return drawing;
}

function parts(bar) {
  return bar.parts.map(({ name, count }) => `${name} ${amount(count)}`).join(", ");
}

function ticks(bars, unit) {
  const row = node("div", { class: "ticks", "aria-hidden": "true" });
  const hourly = unit === "hour" ? [1, 2, 3, 4, 6, 12, 24, 48].find((hours) => bars.length / hours <= TICKS) ?? 72 : 0;
  const every = Math.ceil(bars.length / TICKS);
  bars.forEach(({ from }, index) => {
    const at = unit === "hour" ? fields(from, zone) : null;
    const wanted = at ? at.minute === 0 && (hourly > 24 ? at.hour === 0 && at.day % (hourly / 24) === 0 : at.hour % hourly === 0) : index % every === 0;
    if (!wanted) return;
    const tick = node("span", {}, unit === "day" || at?.hour === 0 ? formats.dayTick.format(from) : formats.hourTick.format(from));
    tick.style.left = `${100 * index / bars.length}%`; // as a property: the policy of the page allows no style in markup
    if (index / bars.length > 0.88) tick.className = "last";
    row.append(tick);
  });
  return row;
}

function legend(series, filter) {
  return node("ul", { class: "legend" }, ...series.map(({ name, kind, counts }) => {
    const swatch = node("span", { class: `swatch ${kind}`, "aria-hidden": "true" });
    const count = node("span", { class: "soft" }, amount(counts.reduce((a, b) => a + b, 0)));
    return node("li", {}, swatch, kind === "others" ? name : node("a", { href: address({ view: "history", ...filter, label: name }) }, name), " ", count);
  }));
}

function asTable(bars, unit) {
  const details = node("details", {}, node("summary", {}, "As a table"));
  const heads = [unit === "day" ? "Day" : "From", "Sounds", "Of these"];
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const rows = bars.filter((bar) => bar.total > 0).map((bar) => node("tr", {},
      node("td", { "data-head": heads[0] }, node("a", { href: bar.link }, bar.name)),
      node("td", { "data-head": heads[1], class: "number" }, amount(bar.total)),
      node("td", { "data-head": heads[2] }, parts(bar))));
    details.append(table(`Sounds by the ${NAMES[unit]}, without those that have none, ${zone}`, heads, rows));
  });
  return details;
}
