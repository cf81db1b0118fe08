// Every object by name, and one of them with what is wrong with it and what Envoy is sent of it.

import { counted, h, nameOf, number, objectLink, problemList, table, to } from "./dom.js";
import { ask } from "./server.js";
import { offsetOf, pager, ROWS, searchField } from "./list.js";

export function objects(parameters, update) {
  let found = 0;
  const chosen = () => parameters.get("kind") ?? (parameters.get("problems") ? "" : "Ingress");
  const kinds = h("select", { name: "kind", onchange: () => update({ kind: kinds.value, offset: 0 }) },
    h("option", { value: chosen() }, chosen() || "every kind"));
  const only = h("input", {
    type: "checkbox", name: "problems", checked: parameters.get("problems") === "only",
    onchange: () => update({ problems: only.checked ? "only" : "", kind: kinds.value || "Ingress", offset: 0 }),
  });
  return {
    title: "Objects",
    controls: h("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() },
      h("label", {}, h("span", {}, "Kind"), kinds),
      searchField("Search by namespace or name", parameters.get("search") ?? "",
        (search) => update({ search, offset: 0 })),
      h("label", { class: "check" }, only, h("span", {}, "Only those with problems"))),
    says: () => counted(found, "object"),
    load: async (signal) => {
      await fill(kinds, chosen(), parameters.get("problems") === "only", signal);
      const offset = offsetOf(parameters);
      const told = await ask("/debug/objects", {
        kind: chosen(), problems: parameters.get("problems"), search: parameters.get("search"), offset, limit: ROWS,
      }, signal);
      found = told.found;
      return h("div", {},
        pager(told.found, told.offset, told.objects.length, (at) => update({ offset: at }), "object"),
        h("ul", { class: "rows" }, told.objects.map((row) => h("li", {},
          objectLink(row, chosen() === ""),
          row.problems ? h("span", { class: "tag bad" }, counted(row.problems, "problem")) : null))));
    },
  };
}

/** The kinds of which there are objects, or that is chosen. */
async function fill(select, chosen, withEvery, signal) {
  const told = await ask("/debug/overview", {}, signal);
  const kinds = told.objects.map((row) => row.kind);
  const values = [...(withEvery ? [""] : []), ...new Set([...kinds, ...(chosen ? [chosen] : [])])];
  if ([...select.options].map((option) => option.value).join() === values.join()) return;
  select.replaceChildren(...values.map((value) => h("option", { value }, value || "every kind")));
  select.value = chosen;
}

export function object(parameters) {
  const named = {
    kind: parameters.get("kind") ?? "",
    namespace: parameters.get("namespace") ?? "",
    name: parameters.get("name") ?? "",
  };
  return {
    title: `${named.kind} ${nameOf(named)}`,
    load: async (signal) => {
      const [state, made] = await Promise.all([
        ask("/debug/object", named, signal),
        ask("/debug/parts", named, signal),
      ]);
      return h("div", {},
        h("p", {}, sentence(state)),
        h("section", { "aria-labelledby": "problems" },
          h("h2", { id: "problems" }, "Problems"),
          made.problems.length ? problemList(made.problems, false) : h("p", {}, "None is known.")),
        h("section", { "aria-labelledby": "envoys" },
          h("h2", { id: "envoys" }, "Envoys"),
          delivery(state.delivery)),
        h("section", { "aria-labelledby": "parts" },
          h("h2", { id: "parts" }, "What Envoy is sent of it"),
          parts(made)));
    },
  };
}

function sentence(state) {
  if (!state.is_read) return "It is not among the objects that are read: it does not exist, or is of no interest here.";
  const version = state.version ? ` All objects of its kind are read up to resourceVersion ${state.version}.` : "";
  return `It is read.${version}`;
}

function delivery(told) {
  if (told.streams.length === 0) return h("p", {}, "None is connected: nothing is served.");
  return h("div", {},
    h("ul", {}, told.streams.map((stream) => h("li", {},
      `${stream.node ?? "unnamed"} (stream ${stream.stream}) `,
      stream.acknowledged === null ? "is busy"
        : stream.acknowledged >= told.snapshot ? `has acknowledged snapshot ${number(told.snapshot)}, which has it`
          : `has acknowledged snapshot ${number(stream.acknowledged)}, and ${number(told.snapshot)} is under way`))),
    told.refused.length ? h("ul", { class: "problems" }, told.refused.map((unit) => h("li", {},
      h("span", { class: "tag bad" }, "refused"),
      ` ${unit.resource_type} ${unit.resource}${unit.part ? ` of ${unit.part}` : ""}: ${unit.reason}`))) : null);
}

function parts(made) {
  if (made.found === 0) return h("p", {}, "Nothing.");
  const rows = made.parts.map((part) => [
    part.type,
    part.resource,
    part.type === "rds" && part.part ? h("a", { href: to("host", { host: part.part }) }, part.part) : part.part ?? "",
  ]);
  const left = made.found - made.parts.length;
  return h("div", {},
    table(`${counted(made.found, "part")}`, ["Type", "Resource", "Part"], rows),
    left > 0 ? h("p", { class: "quiet" }, `and ${number(left)} more`) : null);
}
