// The page of `edgeaudio dashboard`: shows the view that the address names.

import { account, showAccount } from "./account.js";
import { watch } from "./connection.js";
import { devices } from "./devices.js";
import { main, node, query } from "./dom.js";
import { event } from "./event.js";
import { history } from "./history.js";
import { watchSource } from "./live.js";
import { need } from "./me.js";
import { sourceControls } from "./source.js";
import { offerZones } from "./zone.js";

function report(error) {
  main.replaceChildren(node("h1", {}, "This does not work"), node("p", { class: "error", role: "alert" }, error.message));
}

const views = { devices, history, event, live: watchSource, source: sourceControls, account };
const view = Object.hasOwn(views, query.get("view") ?? "") ? query.get("view") : "devices";
offerZones(document.getElementById("zone"));
for (const link of document.querySelectorAll("nav a")) {
  if (link.search === `?view=${view}`) link.setAttribute("aria-current", "page");
  if (query.has("zone")) link.search += `&${new URLSearchParams({ zone: query.get("zone") })}`;
}
const watched = view === "live" ? { device: query.get("device"), source: query.get("source") } : {};
showAccount().catch(() => {}); // the view says what is wrong
const shown = ["live", "source"].includes(view) ? need("reader").then(() => views[view]()) : views[view]();
shown.catch(report).finally(() => watch(watched));
