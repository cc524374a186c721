// Who is asking, and what the page offers accordingly. The server refuses the rest: this spares people the refusal.

import { ask } from "./dom.js";

const ROLES = ["nobody", "visitor", "reader", "owner"];
let asked = null;

// Resolves to {user, role, login}: the name or null, one of ROLES, and whether the dashboard has a login at all.
export function me() {
  asked ??= ask("api/me");
  return asked;
}

// True if whoever looks at this page may do what needs `role`; false where it cannot be known.
export async function may(role) {
  const known = await me().catch(() => null);
  return known !== null && ROLES.indexOf(known.role) >= ROLES.indexOf(role);
}
