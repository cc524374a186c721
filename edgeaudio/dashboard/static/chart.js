// Counts by the hour, as bars.

import { address, ask, node, zone } from "./dom.js";

const hour = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });

export async function chart(filter) {
  const until = Number(filter.until) || Date.now();
  const from = Math.max(Number(filter.from) || until - 86_400_000, until - 7 * 86_400_000);
  // from a full hour of the viewer's zone on; from there hours are counted, so that days of 23 and 25 come out right
  const start = new Date(from);
  start.setMinutes(0, 0, 0);
  const { counts } = await ask(`api/counts${address({ ...filter, from: start.getTime(), until: Math.ceil(until) })}`);
  const hours = new Map();
  for (let at = start.getTime(); at < until; at += 3_600_000) hours.set(at, 0);
  for (const [at, labels] of counts) {
    const hourStart = start.getTime() + Math.floor((at - start.getTime()) / 3_600_000) * 3_600_000;
    if (hours.has(hourStart)) hours.set(hourStart, hours.get(hourStart) + Object.values(labels).reduce((a, b) => a + b, 0));
  }
  const total = [...hours.values()].reduce((a, b) => a + b, 0), most = Math.max(1, ...hours.values());
  const text = `${total} sounds${filter.min_score ? " of any score" : ""} by the hour, ${hour.format(start)} to ${hour.format(until)}, ${zone}; the most in an hour: ${most === 1 && !total ? 0 : most}`;
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  for (const [key, value] of Object.entries({ class: "chart", role: "img", "aria-label": text, viewBox: `0 0 ${hours.size} 100`, preserveAspectRatio: "none" })) drawing.setAttribute(key, value);
  [...hours].forEach(([at, count], index) => {
    const bar = document.createElementNS(space, "rect"), title = document.createElementNS(space, "title");
    const height = count / most * 95;
    for (const [key, value] of Object.entries({ x: index + 0.1, y: 100 - height, width: 0.8, height })) bar.setAttribute(key, value);
    title.textContent = `${hour.format(at)}: ${count}`;
    bar.append(title);
    drawing.append(bar);
  });
  return node("figure", {}, drawing, node("figcaption", { class: "note" }, text));
}
