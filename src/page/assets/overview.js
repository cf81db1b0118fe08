// How much there is of everything, and what wants a look.

import { counted, days, h, linked, number, objectLink, table, to, when } from "./dom.js";
import { ask } from "./server.js";

const TYPES = {
  cds: "clusters", eds: "endpoints of clusters", ecds: "connection managers", lds: "listeners", rds: "route tables",
  srds: "scopes of route tables", sds: "certificates",
};

const SOON = 21 * 86400000;

export function overview() {
  return {
    title: "Overview",
    load: async (signal) => {
      const told = await ask("/debug/overview", {}, signal);
      return h("div", {}, figures(told), attention(told), lists(told));
    },
  };
}

function figures(told) {
  const figure = (href, count, what, isBad = false) =>
    h("li", {}, h("a", { href, class: isBad ? "figure bad" : "figure" },
      h("strong", {}, number(count)), h("span", {}, what)));
  const refused = told.streams.first.reduce((sum, stream) => sum + stream.refused.count, 0);
  return h("ul", { class: "figures" },
    figure(to("hosts"), told.hosts, "hosts"),
    figure(to("hosts"), told.clusters, "clusters"),
    figure(to("objects", { problems: "only" }), told.problems.count, "problems", told.problems.count > 0),
    figure(to("conflicts"), conflictsOf(told), "conflicts", conflictsOf(told) > 0),
    figure("#/changes", told.snapshot, "snapshots since the start"),
    refused > 0 ? figure("#/", refused, "parts that Envoy refuses", true) : null);
}

function conflictsOf(told) {
  const reasons = told.problems.reasons.filter(({ reason }) =>
    reason.includes("Conflict") || reason === "PathDeferred" || reason === "DuplicateVhost");
  return reasons.reduce((sum, { count }) => sum + count, 0);
}

/** What somebody should do something about, in sentences. */
function attention(told) {
  const says = [];
  if (told.streams.count === 0) says.push("No Envoy is connected: nothing of this is served.");
  for (const stream of told.streams.first) {
    for (const unit of stream.refused.first) {
      const part = unit.part ? ` of ${unit.part}` : "";
      says.push(h("span", {}, `Envoy refuses ${unit.type} ${unit.resource}${part}, and goes without: ${unit.reason} `,
        linked(unit.owners.join(", "))));
    }
  }
  for (const certificate of told.certificates.first) {
    if (new Date(certificate.not_after) - Date.now() < SOON) {
      says.push(h("span", {}, "The certificate of ", objectLink({ kind: "Secret", ...certificate }),
        ` has ${days(certificate.not_after)}.`));
    }
  }
  if (says.length === 0) return null;
  return h("section", { "aria-labelledby": "attention" },
    h("h2", { id: "attention" }, "What wants a look"),
    h("ul", { class: "problems" }, says.map((one) => h("li", {}, one))));
}

function lists(told) {
  return h("div", { class: "cards" },
    table("Objects", ["Kind", "Objects", "With problems"], told.objects.map((row) => [
      h("a", { href: to("objects", { kind: row.kind }) }, row.kind),
      number(row.count),
      row.problems === 0 ? "0"
        : h("a", { href: to("objects", { kind: row.kind, problems: "only" }) }, number(row.problems)),
    ])),
    table("Problems by reason", ["Reason", "Problems"], told.problems.reasons.map((row) =>
      [row.reason, number(row.count)])),
    table("Envoys", ["Envoy", "Version", "Acknowledged", "Waiting", "Refused"], told.streams.first.map((stream) => [
      `${stream.node ?? "unnamed"} (stream ${stream.stream})`,
      stream.envoy ?? "",
      stream.busy ? "busy" : `${number(stream.acknowledged)} of ${number(told.snapshot)}`,
      number(stream.waiting),
      number(stream.refused.count),
    ])),
    table(`Certificates, ${counted(told.certificates.count, "in use", "in use")}`, ["Secret", "Good until", "Left"],
      told.certificates.first.map((certificate) => [
        objectLink({ kind: "Secret", ...certificate }, false),
        when(certificate.not_after),
        days(certificate.not_after),
      ])),
    table("What Envoy is sent", ["Type", "Resources", "Parts"], told.resources.map((row) => [
      `${TYPES[row.type] ?? row.type} (${row.type})`, number(row.count), row.parts === 0 ? "" : number(row.parts),
    ])),
    h("p", { class: "quiet" }, `Isobath ${told.version}. `, h("a", { href: "/debug" }, "All pages as text and JSON")));
}

