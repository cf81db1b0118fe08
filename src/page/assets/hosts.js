// The hosts that are served, by name.

import { counted, h, number, to } from "./dom.js";
import { ask } from "./server.js";
import { offsetOf, pager, ROWS, searchField } from "./list.js";

export function hosts(parameters, update) {
  let told = null;
  return {
    title: "Hosts",
    controls: h("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() },
      searchField("Search by host or Service", parameters.get("search") ?? "", (search) => update({ search, offset: 0 }))),
    says: () => counted(told.found, "host"),
    load: async (signal) => {
      const offset = offsetOf(parameters);
      told = await ask("/debug/hosts", { search: parameters.get("search"), offset, limit: ROWS }, signal);
      const go = (to) => update({ offset: to });
      return h("div", {},
        pager(told.found, told.offset, told.hosts.length, go, "host"),
        h("ul", { class: "rows" }, told.hosts.map(row)));
    },
  };
}

function row(host) {
  const more = host.clusters - host.first.length;
  return h("li", {},
    h("a", { href: to("host", { host: host.host, listener: host.listener }) }, host.host),
    host.listener ? h("span", { class: "tag" }, host.listener) : null,
    h("span", { class: "quiet" }, host.first.map(short).join(", "), more > 0 ? ` and ${number(more)} more` : ""));
}

/** A cluster without its settings. */
export function short(cluster) {
  return cluster.split("?")[0];
}
