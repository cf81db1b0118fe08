// Shows the view that the address names, and shows it again when something has changed.
//
// A view is a function of its parameters. It says its title, has controls that stay while something is typed in them, and loads
// what is shown below them.

import { h } from "./dom.js";
import { follow } from "./server.js";
import { changes } from "./changes.js";
import { conflicts } from "./conflicts.js";
import { explain } from "./explain.js";
import { host } from "./host.js";
import { hosts } from "./hosts.js";
import { object, objects } from "./objects.js";
import { overview } from "./overview.js";

const VIEWS = { "": overview, changes, conflicts, explain, host, hosts, object, objects };

/** Which entry of the menu a view is behind. */
const MENU = { host: "hosts", object: "objects" };

const content = document.getElementById("content");
const status = document.getElementById("status");
const live = document.getElementById("live");

let shown = null;

function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path in VIEWS ? path : "", parameters: new URLSearchParams(query ?? "") };
}

/** Loads what is below the controls. What has the focus keeps it, if it is there again. */
async function load(view, isByItself) {
  view.abort?.abort();
  const abort = new AbortController();
  view.abort = abort;
  try {
    const results = await view.load(abort.signal);
    if (abort.signal.aborted || shown !== view) return;
    const focused = view.results.contains(document.activeElement) ? document.activeElement : null;
    const key = focused?.dataset.key ?? focused?.getAttribute("href");
    view.results.replaceChildren(results);
    const again = key && [...view.results.querySelectorAll("[data-key], a[href]")]
      .find((element) => (element.dataset.key ?? element.getAttribute("href")) === key);
    if (again) again.focus({ preventScroll: true });
    else if (focused) content.focus({ preventScroll: true });
    view.loaded?.();
    if (!isByItself) status.textContent = view.says?.() ?? "";
  } catch (error) {
    if (abort.signal.aborted || shown !== view) return;
    view.results.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
  }
  view.results.removeAttribute("aria-busy");
}

/** Shows what the address names. */
async function show(isFirst = false) {
  const { name, parameters } = place();
  shown?.abort?.abort();
  shown?.left?.();
  const view = VIEWS[name](parameters, (changed) => {
    // Another part of the same view: what is typed in stays as it is.
    for (const [key, value] of Object.entries(changed)) {
      if (value === "" || value === 0) parameters.delete(key);
      else parameters.set(key, value);
    }
    const query = parameters.toString();
    history.replaceState(null, "", `#/${name}${query ? `?${query}` : ""}`);
    return load(view, false);
  });
  shown = view;
  view.name = name;
  view.results = h("div", { class: "results", "aria-busy": "true" });
  const heading = h("h1", { tabindex: "-1" }, view.title);
  document.title = `${view.title} – Isobath`;
  content.replaceChildren(heading, ...(view.controls ? [view.controls] : []), view.results);
  for (const link of document.querySelectorAll("header nav a")) {
    const isCurrent = link.getAttribute("href") === `#/${MENU[name] ?? name}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isFirst) heading.focus({ preventScroll: true });
  await load(view, false);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
});
addEventListener("hashchange", () => {
  const { name, parameters } = place();
  if (shown?.name === name && shown.stays?.(parameters)) {
    // Another thing in the same picture is chosen: everything else stays where it is.
    load(shown, false);
    return;
  }
  scrollTo(0, 0);
  show();
});
addEventListener("resize", () => shown?.loaded?.());

show(true);
follow(
  () => shown && load(shown, true),
  (state) => {
    live.classList.toggle("on", state !== null);
    if (state === null) live.textContent = "not connected: what is shown may be old";
    else if (!state.connected) live.textContent = `snapshot ${state.snapshot}, no Envoy is connected`;
    else if (state.acknowledged >= state.snapshot) live.textContent = `snapshot ${state.snapshot}, Envoy has all of it`;
    else live.textContent = `snapshot ${state.snapshot}, Envoy has ${state.acknowledged}`;
  },
);
