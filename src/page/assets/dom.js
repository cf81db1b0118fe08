// Makes elements. Text is always text: nothing that a server says is ever read as markup.

/** An element with attributes, listeners (`onclick`) and children, which are nodes or texts; `null` ones are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The address of a view of this page. */
export function to(view, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return `#/${view}${given.length ? `?${query}` : ""}`;
}

export function number(count) {
  return count.toLocaleString("en");
}

/** `1 host`, `2 hosts`. */
export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** The name of an object as it is written everywhere. */
export function nameOf(object) {
  return object.namespace ? `${object.namespace}/${object.name}` : object.name;
}

/** A link to an object. */
export function objectLink(object, withKind = true) {
  const text = withKind ? `${object.kind} ${nameOf(object)}` : nameOf(object);
  return h("a", { href: to("object", { kind: object.kind, namespace: object.namespace, name: object.name }) }, text);
}

/** A sentence, in which objects that it names (`Ingress shop/web`) are links. */
export function linked(sentence) {
  const parts = [];
  let last = 0;
  for (const found of sentence.matchAll(/\b([A-Z][A-Za-z]+) ([a-z0-9.-]+)\/([a-z0-9.-]*[a-z0-9])/g)) {
    const [whole, kind, namespace, name] = found;
    parts.push(sentence.slice(last, found.index), objectLink({ kind, namespace, name }));
    last = found.index + whole.length;
  }
  parts.push(sentence.slice(last));
  return parts;
}

/** A time of the server, and how far it is from now. */
export function when(text) {
  const time = new Date(text);
  return h("time", { datetime: text }, time.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }));
}

export function days(text) {
  const left = Math.floor((new Date(text) - Date.now()) / 86400000);
  return left < 0 ? `ended ${counted(-left, "day")} ago` : `${counted(left, "day")} left`;
}

/** A table whose cells are nodes or texts. */
export function table(caption, heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell)))))));
}

/** Problems as a list, each with the object that can put it right. */
export function problemList(problems, withObject = true) {
  return h("ul", { class: "problems" }, problems.map((problem) =>
    h("li", {},
      h("span", { class: "tag bad" }, problem.reason), " ",
      withObject ? [objectLink(problem.object), ": "] : null,
      linked(problem.message),
      problem.field ? h("code", { class: "field" }, problem.field) : null)));
}

/** What holds for a route or a host: guards first. */
export function settingList(settings) {
  const sorted = [...settings].sort((one, other) => Number(other.guard) - Number(one.guard));
  return h("dl", { class: "settings" }, sorted.flatMap((setting) => [
    h("dt", {}, setting.about, setting.guard ? h("span", { class: "tag" }, "guard") : null),
    h("dd", {}, setting.says ?? ""),
  ]));
}
