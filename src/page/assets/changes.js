// What changed last: when, of which objects, and what of Envoy's configuration.

import { counted, h, linked, number, objectLink, to, when } from "./dom.js";
import { ask } from "./server.js";

const WORDS = {
  cds: "the cluster", eds: "the endpoints of", ecds: "the connection manager", lds: "the listener", rds: "the routes of",
  srds: "the scope", sds: "the certificate",
};

export function changes() {
  let count = 0;
  return {
    title: "Changes",
    says: () => counted(count, "change"),
    load: async (signal) => {
      const told = await ask("/debug/changes", {}, signal);
      count = told.changes.length;
      if (count === 0) {
        return h("p", {}, `Nothing has changed since the first look at snapshot ${number(told.snapshot)}.`);
      }
      return h("ol", { class: "changes" }, told.changes.map(entry));
    },
  };
}

function entry(change) {
  const several = change.snapshots > 1 ? `${number(change.snapshots)} snapshots up to ` : "";
  return h("li", {},
    h("h2", {}, when(change.at), h("span", { class: "quiet" }, ` ${several}snapshot ${number(change.snapshot)}`)),
    h("ul", {},
      change.envoy.map(difference),
      change.more > 0 ? h("li", { class: "quiet" }, `and ${number(change.more)} more`) : null,
      change.told.map((problem) => h("li", {},
        h("span", { class: "tag bad" }, problem.reason), " ", objectLink(problem.object), ": ", linked(problem.message))),
      change.settled.map((problem) => h("li", {},
        h("span", { class: "tag good" }, "settled"), " ", objectLink(problem.object), ": ", linked(problem.message)))));
}

function difference(one) {
  const what = WORDS[one.type] ?? one.type;
  const name = one.type === "rds" && one.part
    ? h("a", { href: to("host", { host: one.part }) }, one.part)
    : one.part ? `${one.resource}: ${one.part}` : one.resource;
  return h("li", {},
    h("span", { class: one.change === "added" ? "tag good" : one.change === "removed" ? "tag bad" : "tag" }, one.change),
    ` ${what} `, name,
    one.owners.length ? [" by ", linked(one.owners.join(", "))] : null);
}
