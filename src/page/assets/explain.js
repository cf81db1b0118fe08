// Who answers a request, and why: the same answer as `isobath explain`.

import { h, linked, objectLink, problemList, table } from "./dom.js";
import { ask } from "./server.js";

const FIELDS = ["url", "method", "header", "sni", "from"];

export function explain(parameters, update) {
  const field = (name, label, attributes = {}) => h("label", {}, h("span", {}, label),
    h("input", { name, autocomplete: "off", spellcheck: "false", value: parameters.get(name) ?? "", ...attributes }));
  const form = h("form", { class: "controls", onsubmit: (event) => {
    event.preventDefault();
    const data = new FormData(form);
    update(Object.fromEntries(FIELDS.map((name) => [name, String(data.get(name) ?? "").trim()])));
  } },
    field("url", "URL", { placeholder: "http://a.example/path", size: "40", inputmode: "url" }),
    field("method", "Method", { placeholder: "GET", size: "6" }),
    h("label", {}, h("span", {}, "Headers, one a line"),
      h("textarea", { name: "header", rows: "1", placeholder: "name: value", value: parameters.get("header") ?? "" })),
    field("sni", "Name in TLS (SNI)", { placeholder: "the URL's host" }),
    field("from", "Address of the client", { placeholder: "not asked" }),
    h("button", { type: "submit" }, "Explain"));
  let says = "";
  return {
    title: "Explain",
    controls: form,
    says: () => says,
    load: async (signal) => {
      const url = parameters.get("url");
      if (!url) return h("p", {}, "Enter a URL: this says who answers it, and why, as Envoy is served now.");
      const headers = (parameters.get("header") ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
      const told = await ask("/debug/explain", {
        url, method: parameters.get("method"), header: headers, sni: parameters.get("sni"), from: parameters.get("from"),
        output: "json",
      }, signal);
      says = told.answers.map((answer) => answer.why ?? answer.cluster).join("; ");
      return answered(told);
    },
  };
}

function answered(told) {
  const all = told.answers.reduce((sum, answer) => sum + answer.weight, 0);
  return h("div", {},
    h("ul", { class: "answers" }, told.answers.map((answer) => h("li", {},
      told.answers.length > 1 ? h("span", { class: "tag" }, `${answer.weight} of ${all}`) : null, sentence(answer)))),
    told.suggestions.map((name) => h("p", {}, "Perhaps ", h("strong", {}, name), " was meant.")),
    told.problems.length ? problemList(told.problems) : null,
    delivery(told.delivery),
    table("How it came about", ["About", "What was decided", "By"], told.steps.map((step) => [
      step.about,
      linked(step.says),
      step.object ? [objectLink(step.object), step.field ? h("code", { class: "field" }, step.field) : null] : "",
    ])));
}

function sentence(answer) {
  if (answer.closed) return `The connection is closed: ${answer.why}`;
  if (answer.status) {
    const location = answer.location ? `, Location ${answer.location}` : "";
    return h("span", {}, h("strong", {}, String(answer.status)), ` from Envoy${location}: ${answer.why}`);
  }
  const by = answer.endpoints.length ? ` (${answer.endpoints.join(", ")})` : "";
  return h("span", {}, "The answer of ", h("strong", {}, answer.cluster.split("?")[0]),
    `${by}, which sees Host ${answer.host ?? "its own name"} and path ${answer.path}`);
}

function delivery(told) {
  if (!told) return null;
  if (told.streams.length === 0) return h("p", { class: "bad" }, "No Envoy is connected: nothing of this is served.");
  const behind = told.streams.filter((stream) => stream.acknowledged === null || stream.acknowledged < told.snapshot);
  return h("div", {},
    h("p", { class: "quiet" }, behind.length === 0
      ? `Every Envoy has acknowledged it (snapshot ${told.snapshot}).`
      : `Under way to ${behind.length} of ${told.streams.length} Envoys (snapshot ${told.snapshot}).`),
    told.refused.length ? h("ul", { class: "problems" }, told.refused.map((unit) => h("li", {},
      `Envoy refuses ${unit.resource_type} ${unit.resource}${unit.part ? ` of ${unit.part}` : ""}: ${unit.reason}`))) : null);
}
