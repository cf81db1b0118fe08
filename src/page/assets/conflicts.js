// Objects that contradict others, side by side with those.

import { counted, h, linked, objectLink } from "./dom.js";
import { ask } from "./server.js";
import { offsetOf, pager, ROWS, searchField } from "./list.js";

export function conflicts(parameters, update) {
  let found = 0;
  return {
    title: "Conflicts",
    controls: h("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() },
      searchField("Search by host, path or object", parameters.get("search") ?? "",
        (search) => update({ search, offset: 0 }))),
    says: () => counted(found, "conflict"),
    load: async (signal) => {
      const offset = offsetOf(parameters);
      const told = await ask("/debug/conflicts", { search: parameters.get("search"), offset, limit: ROWS }, signal);
      found = told.found;
      if (found === 0) return h("p", {}, "No object contradicts another one.");
      return h("div", {},
        pager(told.found, told.offset, told.conflicts.length, (at) => update({ offset: at }), "conflict"),
        h("ul", { class: "conflicts" }, told.conflicts.map(row)));
    },
  };
}

function row(conflict) {
  return h("li", {},
    h("p", {}, h("span", { class: "tag bad" }, conflict.reason), " ", linked(conflict.message)),
    h("div", { class: "sides" },
      h("div", {}, h("h2", {}, "Told"), h("p", {}, objectLink(conflict.object)),
        conflict.field ? h("code", { class: "field" }, conflict.field) : null),
      h("div", {}, h("h2", {}, "Has it"),
        conflict.others.length ? h("ul", {}, conflict.others.map((other) => h("li", {}, objectLink(other))))
          : h("p", { class: "quiet" }, "The sentence names no object."))));
}
