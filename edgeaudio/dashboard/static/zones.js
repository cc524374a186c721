// Time zones: where hours and days begin in them, and how local times are read and written. Pure.
// Does not know: which zone the viewer chose (zone.js), what is drawn.
// A day has 23 to 25 hours, and some zones change by half an hour: every boundary is asked of the browser, none is added up.

export const QUARTER_MS = 900_000;
const DAY_MS = 86_400_000;
const formats = new Map();

export function isZone(name) {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }) !== null;
  } catch {
    return false;
  }
}

// The fields of a local time: year, month (from 1), day, hour, minute, second.
export function fields(ms, zone) {
  if (!formats.has(zone)) {
    formats.set(zone, new Intl.DateTimeFormat("en-u-ca-gregory-nu-latn", {
      timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
    }));
  }
  return Object.fromEntries(formats.get(zone).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
}

export function offset(ms, zone) {
  const at = fields(ms, zone);
  return Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) - Math.floor(ms / 1000) * 1000;
}

// When a local time is; the earlier one where it comes twice. One that clocks leave out is read with the offset before.
export function instant(zone, year, month, day, hour = 0, minute = 0) {
  const wall = Date.UTC(year, month - 1, day, hour, minute);
  const [before, after] = [wall - DAY_MS, wall + DAY_MS].map((near) => wall - offset(near, zone));
  return [before, after].filter((ms) => ms + offset(ms, zone) === wall).sort((a, b) => a - b)[0] ?? before;
}

function startOfDay(ms, zone, later = 0) {
  const { year, month, day } = fields(ms, zone);
  return instant(zone, year, month, day + later);
}

// Where the local hours of a day begin. One that clocks cut short, or have twice, begins too.
function hoursOfDay(start, end, zone) {
  const hours = [start];
  const steady = offset(start, zone) === offset(end, zone), step = steady ? 4 * QUARTER_MS : QUARTER_MS;
  let before = steady ? null : fields(start, zone).hour;
  for (let ms = start + step; ms < end; ms += step) {
    const at = steady ? null : fields(ms, zone);
    if (steady || at.minute === 0 || at.hour !== before) hours.push(ms);
    before = at?.hour;
  }
  return hours;
}

// Where quarters, hours or days begin, from the one that holds `from` on, and where the last ends: at `until` or behind it.
export function edges(by, from, until, zone) {
  const found = [];
  if (by === "quarter") {
    for (let ms = Math.floor(from / QUARTER_MS) * QUARTER_MS; ; ms += QUARTER_MS) {
      found.push(ms);
      if (ms >= until && found.length > 1) return found;
    }
  }
  let start = startOfDay(from, zone);
  for (;;) {
    const end = startOfDay(start, zone, 1);
    found.push(...(by === "day" ? [start] : hoursOfDay(start, end, zone)));
    if (end >= until) {
      found.push(end);
      break;
    }
    start = end;
  }
  const first = found.findLastIndex((ms) => ms <= from), last = found.findIndex((ms, index) => ms >= until && index > first);
  return found.slice(Math.max(first, 0), last + 1);
}

// The lengths between edges in quarters of an hour, as api/counts reads them: 96*88,92,96
export function steps(marks) {
  const runs = [];
  for (let index = 1; index < marks.length; index += 1) {
    const length = Math.round((marks[index] - marks[index - 1]) / QUARTER_MS);
    if (runs.at(-1)?.[0] === length) runs.at(-1)[1] += 1;
    else runs.push([length, 1]);
  }
  return runs.map(([length, times]) => times === 1 ? `${length}` : `${length}*${times}`).join(",");
}

// A local time as an input of the type datetime-local has it; an address can hold anything: then nothing.
export function toInput(ms, zone) {
  if (ms === "" || ms === null || isNaN(new Date(Number(ms)))) return "";
  const at = fields(Number(ms), zone), two = (value) => `${value}`.padStart(2, "0");
  return `${`${at.year}`.padStart(4, "0")}-${two(at.month)}-${two(at.day)}T${two(at.hour)}:${two(at.minute)}`;
}

export function fromInput(text, zone) {
  const found = /^(\d{4,6})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(text);
  return found ? instant(zone, ...found.slice(1).map(Number)) : "";
}
