// Who is logged in: the link in the head of each page, and the view of the sessions, each of which can be ended.

import { address, ago, ask, main, node, row, table, time } from "./dom.js";
import { me } from "./me.js";

const BROWSERS = [["Edg", "Edge"], ["OPR", "Opera"], ["Firefox", "Firefox"], ["FxiOS", "Firefox"], ["Chrome", "Chrome"], ["CriOS", "Chrome"], ["Safari", "Safari"]];
const SYSTEMS = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS X", "macOS"], ["Linux", "Linux"]];

// The browser in a few words; what it sends is longer, and says this among other things.
function browserOf(sent) {
  const named = (names) => names.find(([part]) => sent.includes(part))?.[1];
  const browser = named(BROWSERS), system = named(SYSTEMS);
  return browser && system ? `${browser} on ${system}` : sent.slice(0, 40) || "unknown";
}

async function tell(path) {
  const answer = await fetch(path, { method: "POST" });
  if (!answer.ok && !answer.redirected) throw new Error((await answer.json()).error);
}

function leave() {
  location.assign("login");
}

// Shows who is looking, and what he may reach; without a login there is nothing to show.
export async function showAccount() {
  const known = await me();
  document.body.dataset.role = known.role; // page.css hides what needs another one
  if (!known.login) return;
  const place = document.getElementById("account");
  place.replaceChildren(known.user === null
    ? node("a", { href: `login?next=${encodeURIComponent(location.search)}` }, "Log in")
    : node("a", { href: address({ view: "account" }) }, known.user));
}

export async function account() {
  const known = await me();
  if (known.user === null) {
    main.replaceChildren(node("h1", {}, "No login"), node("p", {}, known.login ? node("a", { href: "login" }, "Log in")
      : "This dashboard has no login: whoever is on this machine may do everything."));
    return;
  }
  const heads = ["User", "Browser", "Address", "Since", "Last used", "End"], place = node("div"), state = node("p", { class: "error", role: "alert" });

  async function run(path, after) {
    try { await tell(path); await after(); } catch (error) { state.textContent = error.message; }
  }

  function sessionRow(each) {
    const end = node("button", { "aria-label": `End the session of ${each.user} since ${time(each.begun).textContent}` }, "End");
    end.addEventListener("click", () => run(`api/sessions/${each.number}/end`, each.own ? leave : show));
    const browser = node("span", { title: each.browser }, browserOf(each.browser), each.own ? node("strong", {}, " (this one)") : "");
    return row(heads, [each.user, browser, each.address, time(each.begun), `${ago(each.seen)} ago`, end]);
  }

  async function show() {
    const { sessions } = await ask("api/sessions");
    place.replaceChildren(table("Sessions, the one used last first", heads, sessions.map(sessionRow)));
  }

  const out = node("button", {}, "Log out"), everywhere = node("button", {}, "Log out everywhere");
  out.addEventListener("click", () => run("logout", leave));
  everywhere.addEventListener("click", () => run("api/sessions/end", leave));
  main.replaceChildren(node("h1", {}, known.user), node("p", {}, `Role: ${known.role}.`),
    known.session ? node("p", { class: "actions" }, out, " ", everywhere) : node("p", {}, "The proxy in front of this page names the user: log out there."),
    state, place);
  await show();
}
