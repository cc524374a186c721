// The view of one source: what can be changed there, as it is now, and the device's answers.

import { act, answers } from "./command.js";
import { live } from "./connection.js";
import { MAX_ROWS, address, ask, main, node, query, row, table, time } from "./dom.js";
import { may } from "./me.js";

const ASK_MS = 1000;
const SPANS = [[3600, "1 h"], [28800, "8 h"], [86400, "1 day"], [604800, "1 week"]];

export async function sourceControls() {
  const [device, source] = [query.get("device") ?? "", query.get("source") ?? ""];
  const isOwner = await may("owner");
  const said = answers(), state = node("p", { class: "summary" }), raised = node("div"), note = node("p", { class: "note" });
  const listening = node("input", { type: "checkbox", role: "switch", disabled: true });
  const filter = node("input", { type: "search" }), filtered = node("label", { class: "filter" }, "Only sounds with", filter), place = node("div");
  const link = (view, text) => node("a", { href: address({ view, device, source }) }, text);
  main.replaceChildren(node("h1", {}, `${source} on ${device}`), state, raised, said,
    node("label", { class: "controls" }, listening, "Listening"), filtered, place, note,
    node("p", {}, link("live", "Live"), " · ", link("history", "History of this source")));
  const rows = new Map(), heads = ["Sound", "Threshold", "Cooldown, s", "Snooze", ...isOwner ? ["Test"] : []];
  let known = { revision: 0, labels: [] };

  async function send(control, values, waiting, done) {
    if (await act(control, said, { device, source, ...values }, `${waiting}…`, done)) await show().catch(() => {});
    else draw();  // what was refused gives way to what is in force
  }

  listening.addEventListener("click", (event) => {
    event.preventDefault();  // it moves when the device says so
    const on = known.enabled !== true;
    send(listening, { command: "enabled", value: on }, `Switching ${source} ${on ? "on" : "off"}`, `${source} is switched ${on ? "on" : "off"}.`);
  });
  filter.addEventListener("input", () => draw());

  // a number with its button; what is being typed stays as it is
  function numberForm(label, command, title, attributes, done) {
    const input = node("input", { type: "number", required: true, "aria-label": `${title} of ${label}`, ...attributes });
    const form = node("form", { class: "cell" }, input, node("button", { "aria-label": `Set the ${title.toLowerCase()} of ${label}` }, "Set"));
    form.noValidate = true;  // the device says what it takes
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = input.valueAsNumber;
      if (Number.isNaN(value)) {
        said.className = "error";
        said.textContent = `${title} of ${label}: this is no number.`;
        return;
      }
      delete input.dataset.typed;
      send(form.querySelector("button"), { command, label, value }, `Setting the ${title.toLowerCase()} of ${label}`, done(value));
    });
    input.addEventListener("input", () => { input.dataset.typed = "yes"; });
    const shown = node("span");  // for those who may not change it
    const put = (value) => {
      shown.textContent = value ?? "";
      if (!input.dataset.typed && value !== null) input.value = value;
    };
    return { form: isOwner ? form : shown, put };
  }

  function makeRow(label) {
    const threshold = numberForm(label, "threshold", "Threshold", { min: 0.01, max: 1, step: 0.01 },
      (value) => `The threshold of ${label} is ${value}.`);
    const cooldown = numberForm(label, "cooldown", "Cooldown", { min: 0, max: 86400, step: 1 },
      (value) => value ? `After each ${label} there is none for ${value} s.` : `${label} has no cooldown.`);
    const snooze = node("div");
    const test = node("button", { type: "button", "aria-label": `Send a test detection of ${label}` }, "Test");
    test.addEventListener("click", () => send(test, { command: "test", label }, `Testing ${label}`, `A test detection of ${label} is sent.`));
    let until = -1;
    const putSnooze = (ms) => {
      if (ms === until) return;
      const focused = snooze.contains(document.activeElement);
      until = ms;
      if (!isOwner) snooze.replaceChildren(ms === null ? "" : node("span", {}, "until ", time(ms)));
      else if (ms === null) {
        const span = node("select", { "aria-label": `How long to snooze ${label}` }, ...SPANS.map(([value, text]) => node("option", { value }, text)));
        const begin = node("button", { "aria-label": `Snooze ${label}` }, "Snooze");
        const form = node("form", { class: "cell" }, span, begin);
        form.addEventListener("submit", (event) => {
          event.preventDefault();
          send(begin, { command: "snooze", label, value: Number(span.value) }, `Snoozing ${label}`, `${label} is snoozed for ${span.selectedOptions[0].text}.`);
        });
        snooze.replaceChildren(form);
      } else {
        const end = node("button", { type: "button", "aria-label": `End the snooze of ${label}` }, "End");
        end.addEventListener("click", () => send(end, { command: "snooze", label, value: 0 }, `Ending the snooze of ${label}`, `${label} is no longer snoozed.`));
        snooze.replaceChildren(node("span", {}, "until ", time(ms), " "), end);
      }
      if (focused) snooze.querySelector("button")?.focus();
    };
    return { element: row(heads, [label, threshold.form, cooldown.form, snooze, ...isOwner ? [test] : []]),
      put: (values) => { threshold.put(values.threshold); cooldown.put(values.cooldown_s); putSnooze(values.snoozed_until); } };
  }

  function draw() {
    const labels = new Set(known.labels.map(({ label }) => label));
    for (const label of [...rows.keys()]) if (!labels.has(label)) { rows.get(label).element.remove(); rows.delete(label); }
    const chosen = known.labels.filter(({ label }) => label.includes(filter.value.trim().toLowerCase()));
    const shown = chosen.slice(0, MAX_ROWS);
    const body = place.querySelector("tbody");
    for (const values of known.labels) {
      if (rows.has(values.label)) rows.get(values.label).put(values);
    }
    const elements = shown.map((values) => {
      if (!rows.has(values.label)) {
        rows.set(values.label, makeRow(values.label));
        rows.get(values.label).put(values);
      }
      return rows.get(values.label).element;
    });
    // moving a row takes the focus from it: only where something is to be moved
    if (elements.length !== body.children.length || elements.some((element, index) => body.children[index] !== element)) body.replaceChildren(...elements);
    filtered.hidden = known.labels.length < 10;
    place.hidden = !known.labels.length;
    const left = chosen.length - shown.length;
    note.textContent = known.trouble ? known.trouble
      : left > 0 ? `${left} more: narrow the list.`
      : known.labels.length || known.enabled !== null ? "A threshold of 1 is never reached. A cooldown begins at the end of a detection." + (isOwner ? "" : " Only owners change anything.")
      : known.subscribed ? "Nothing is known of this source: there is none of this name, or the broker's access rules deny its topics (docs/dashboard.md)." : "Asking the broker…";
    note.className = known.trouble ? "error" : "note";
    listening.disabled = known.enabled === null || !isOwner;
    listening.checked = known.enabled === true;
  }

  async function show() {
    const found = await ask(`api/controls${address({ device, source, after: known.revision })}`);
    if (found.labels) {
      known = found;
      draw();
    }
  }

  live.fleet = async () => {
    const fleet = await ask("api/fleet").catch(() => null);
    const found = fleet?.devices.find((each) => each.name === device), one = found?.sources.find((each) => each.name === source);
    state.textContent = !one ? "" : [one.offline ? `${device}${one.shard === null ? "" : `, shard ${one.shard},`} is offline` : one.state, one.detail,
      one.withheld ? `${one.withheld === 1 ? "1 sound was" : `${one.withheld} sounds were`} not published, for snoozes and cooldowns` : ""].filter(Boolean).join("; ");
    raised.replaceChildren(...!one?.raised_count ? [] : [
      node("p", { class: "note" }, "A sound goes on, and these thresholds have risen until it ends. To set one ends that at once."),
      node("ul", {}, ...one.raised.map((each) => node("li", {}, `${each.label}: from ${each.from.toFixed(3)} to ${each.to.toFixed(3)}, since `, time(each.since))),
        one.raised_count > one.raised.length ? node("li", {}, `${one.raised_count - one.raised.length} more`) : "")]);
  };

  place.append(table("What each sound takes to be published", heads, []));
  await show();
  const again = async () => {
    if (!document.hidden) await show().catch((error) => { note.className = "error"; note.textContent = error.message; });
    setTimeout(again, ASK_MS);
  };
  setTimeout(again, ASK_MS / 2);
}
