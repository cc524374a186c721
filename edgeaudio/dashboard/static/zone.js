// The zone that the viewer chose: by the address (`zone`), else as remembered, else the browser's.
// Owns: the choice and its list. Does not know: where hours begin (zones.js).

import { isZone } from "./zones.js";

const KEY = "zone";
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
const query = new URLSearchParams(location.search);

// a browser may allow no storage, as in a frame of another site
function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(name) {
  try {
    if (name === own) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name);
  } catch {
    // the address has it
  }
}

export const zone = [query.get(KEY), remembered(), own].find((name) => name && isZone(name));

// Fills the list, and has a choice open the same view in that zone.
export function offerZones(select) {
  const names = new Set([zone, own, "UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])]);
  for (const name of names) select.append(new Option(name === own ? `${name} (of this browser)` : name, name, name === zone, name === zone));
  select.addEventListener("change", () => {
    remember(select.value);
    query.set(KEY, select.value);
    location.search = query;
  });
}
