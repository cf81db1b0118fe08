// One host as a picture: who names it, its routes, the Services that these lead to, and their endpoints, from left to right. Each
// thing is a link that puts it into the address; what belongs to it stays bright.

import { counted, days, h, number, objectLink, problemList, settingList, to } from "./dom.js";
import { ask } from "./server.js";
import { short } from "./hosts.js";
import { offsetOf, pager, searchField } from "./list.js";

/** Most endpoints in the picture. */
const ENDPOINTS = 200;

export function host(parameters, update) {
  const name = parameters.get("host") ?? "";
  const listener = parameters.get("listener") ?? "";
  let view = null;
  let picture = null;
  return {
    title: name || "A host",
    controls: h("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() },
      searchField("Search among its routes", parameters.get("search") ?? "",
        (search) => update({ search, offset: 0, at: "" })),
      h("a", { href: to("explain", { url: `http://${name.replace(/^\*/, "www")}/` }) }, "Explain a request for it")),
    stays: (others) => {
      const isSame = ["host", "listener", "search", "offset"].every((key) =>
        (others.get(key) ?? "") === (parameters.get(key) ?? ""));
      if (isSame) parameters.set("at", others.get("at") ?? "");
      return isSame;
    },
    says: () => (view ? counted(view.found, "route") : ""),
    load: async (signal) => {
      const asked = { host: name, listener, search: parameters.get("search"), offset: offsetOf(parameters) };
      const told = await ask("/debug/host", asked, signal);
      view = told.view;
      if (view === null) return h("p", {}, "No object names this host, or none any more.");
      const at = parameters.get("at") ?? "";
      const href = (selected) => to("host", {
        host: name, listener, search: parameters.get("search"), offset: offsetOf(parameters) || "", at: selected,
      });
      const graph = graphOf(view, at);
      picture = draw(view, graph, at, href);
      const go = (offset) => update({ offset, at: "" });
      const isLong = view.found > view.routes.length;
      return h("div", {},
        view.problems.length ? problemList(view.problems) : null,
        isLong ? pager(view.found, told.offset, view.routes.length, go, "route") : null,
        picture,
        chosen(view, graph, at, href));
    },
    loaded: () => picture && connect(picture),
  };
}

/** What leads to what, and what belongs to the thing that is chosen. */
function graphOf(view, at) {
  const edges = [];
  view.routes.forEach((route, index) => {
    for (const { cluster } of route.targets) edges.push([`r${index}`, `c${cluster}`]);
  });
  for (const cluster of view.clusters) {
    for (const { address } of cluster.endpoints) edges.push([`c${cluster.name}`, `e${cluster.name} ${address}`]);
  }
  const related = new Set();
  if (at) {
    const walk = (from, to, start) => {
      const next = new Map();
      for (const edge of edges) next.set(edge[from], [...(next.get(edge[from]) ?? []), edge[to]]);
      const open = [start];
      while (open.length) {
        const one = open.pop();
        related.add(one);
        for (const other of next.get(one) ?? []) if (!related.has(other)) open.push(other);
      }
    };
    walk(0, 1, at);
    walk(1, 0, at);
  }
  return { edges, related, isBright: (key) => related.size === 0 || related.has(key) };
}

function item(key, at, graph, href, ...children) {
  const isChosen = at === key;
  return h("li", { class: graph.isBright(key) ? "" : "dim" },
    h("a", { href: href(isChosen ? "" : key), "data-node": key, "data-key": key, "aria-current": isChosen ? "true" : null }, ...children));
}

function column(title, id, items, more = null) {
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), h("ul", {}, items), more);
}

function schemes(route) {
  if (route.http && route.https) return "HTTP, HTTPS";
  return route.https ? "HTTPS" : "HTTP";
}

function draw(view, graph, at, href) {
  const routes = view.routes.map((route, index) => item(`r${index}`, at, graph, href,
    h("span", { class: "main" }, route.says),
    h("span", { class: "quiet" }, schemes(route), outcome(route)),
    route.details.some((detail) => detail.guard) ? h("span", { class: "tag" }, "guarded") : null));
  const clusters = view.clusters.map((cluster) => item(`c${cluster.name}`, at, graph, href,
    h("span", { class: "main" }, labelOf(cluster)),
    h("span", { class: cluster.count === 0 ? "bad" : "quiet" }, endpointsOf(cluster))));
  const all = view.clusters.flatMap((cluster) => cluster.endpoints.map((endpoint) => [cluster, endpoint]));
  const near = all.filter(([cluster]) => graph.isBright(`c${cluster.name}`));
  const endpoints = near.slice(0, ENDPOINTS).map(([cluster, endpoint]) =>
    item(`e${cluster.name} ${endpoint.address}`, at, graph, href,
      h("span", { class: "main" }, endpoint.address),
      endpoint.zone ? h("span", { class: "quiet" }, endpoint.zone) : null,
      endpoint.weight ? h("span", { class: "quiet" }, ` weight ${endpoint.weight}`) : null));
  const left = view.clusters.filter((cluster) => graph.isBright(`c${cluster.name}`))
    .reduce((sum, cluster) => sum + (cluster.count ?? 0), 0) - endpoints.length;
  const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.setAttribute("aria-hidden", "true");
  const picture = h("div", { class: "picture" },
    h("section", { "aria-labelledby": "named" }, h("h2", { id: "named" }, "Named by"), named(view)),
    column("Routes", "routes", routes),
    column("Services", "services", clusters),
    column("Endpoints", "endpoints", endpoints,
      left > 0 ? h("p", { class: "quiet" }, `and ${number(left)} more`) : null));
  picture.prepend(lines);
  picture.edges = graph.edges;
  picture.graph = graph;
  return picture;
}

function named(view) {
  return h("div", {},
    h("ul", {}, view.claims.map((claim) => h("li", { class: "plain" }, objectLink(claim)))),
    view.certificates.length ? h("h3", {}, "Certificates") : null,
    h("ul", {}, view.certificates.map((secret) => h("li", { class: "plain" },
      objectLink({ kind: "Secret", ...secret }),
      secret.not_after ? h("span", { class: "quiet" }, ` ${days(secret.not_after)}`) : null))));
}

function outcome(route) {
  const answer = route.details.find((detail) => detail.about === "answer");
  return answer ? ` → ${answer.says}` : "";
}

function labelOf(cluster) {
  if (cluster.ports.length === 0) return short(cluster.name);
  return cluster.ports.map((port) => `${port.namespace}/${port.name}:${port.port}`).join(", ");
}

function endpointsOf(cluster) {
  if (cluster.found_by) return `found by ${cluster.found_by}`;
  if (cluster.count === null) return "endpoints not counted";
  return counted(cluster.count, "endpoint");
}

/** All about the thing that is chosen; of nothing, what holds for the host. */
function chosen(view, graph, at, href) {
  const box = (title, ...children) =>
    h("section", { class: "chosen", "aria-labelledby": "chosen" }, h("h2", { id: "chosen" }, title), ...children);
  const route = at.startsWith("r") ? view.routes[Number(at.slice(1))] : null;
  if (route) {
    return box(`Route: ${route.says}`,
      h("p", {}, "By ", objectLink(route.object), route.field ? h("code", { class: "field" }, route.field) : null),
      settingList(route.details),
      shares(route, href));
  }
  const cluster = view.clusters.find((one) => at === `c${one.name}` || at.startsWith(`e${one.name} `));
  if (cluster) {
    return box(`Service: ${labelOf(cluster)}`,
      h("ul", {}, cluster.ports.map((port) => h("li", {}, objectLink({ kind: "Service", ...port })))),
      h("p", {}, endpointsOf(cluster), ". To Envoy it is the cluster ", h("code", {}, cluster.name)));
  }
  return box("All of the host",
    view.http.length ? [h("h3", {}, "In clear"), settingList(view.http)] : null,
    view.https.length ? [h("h3", {}, "By TLS"), settingList(view.https)] : null,
    h("p", { class: "quiet" }, "Choose a route, a Service or an endpoint to see what belongs to it."));
}

function shares(route, href) {
  if (route.targets.length < 2) return null;
  const sum = route.targets.reduce((all, target) => all + target.weight, 0);
  return h("ul", {}, route.targets.map((target) => h("li", {},
    h("a", { href: href(`c${target.cluster}`) }, short(target.cluster)), ` ${number(target.weight)} of ${number(sum)}`)));
}

/** Draws the lines between what is shown. */
function connect(picture) {
  const svg = picture.querySelector("svg");
  const frame = picture.getBoundingClientRect();
  const nodes = new Map([...picture.querySelectorAll("[data-node]")].map((node) =>
    [node.dataset.node, node.getBoundingClientRect()]));
  svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const paths = [];
  for (const [from, to] of picture.edges) {
    const [one, other] = [nodes.get(from), nodes.get(to)];
    if (!one || !other) continue;
    const [x1, y1] = [one.right - frame.left, one.top + one.height / 2 - frame.top];
    const [x2, y2] = [other.left - frame.left, other.top + other.height / 2 - frame.top];
    const middle = (x1 + x2) / 2;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`);
    const { related } = picture.graph;
    if (related.size) path.setAttribute("class", related.has(from) && related.has(to) ? "bright" : "dim");
    paths.push(path);
  }
  svg.replaceChildren(...paths);
}
