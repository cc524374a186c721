// Who is asking, and what the page offers accordingly. The server refuses the rest: this spares people the refusal.

import { ask, toLogin } from "./dom.js";

const ROLES = ["nobody", "visitor", "reader", "owner"];
let asked = null;

// Resolves to {user, role, login, session}: the name or null, one of ROLES, whether the dashboard has a login at all, and
// whether this browser has a session that can be ended.
export function me() {
  asked ??= ask("api/me");
  return asked;
}

// True if whoever looks at this page may do what needs `role`; false where it cannot be known.
export async function may(role) {
  const known = await me().catch(() => null);
  return known !== null && has(known, role);
}

// Leaves for the login where a view needs more than whoever looks has; rejects where that cannot be known.
export async function need(role) {
  if (has(await me(), role)) return;
  toLogin();
  await new Promise(() => {}); // the page is left
}

function has(known, role) {
  return ROLES.indexOf(known.role) >= ROLES.indexOf(role);
}
