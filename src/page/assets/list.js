// Lists in parts: a search, and a part of what is found.

import { counted, h, number } from "./dom.js";

export const ROWS = 50;

/** How long nobody types before it is searched. */
const PAUSE = 200;

/** A field to search by. What is typed calls `search` with the text, after a moment. */
export function searchField(label, text, search) {
  let timer = null;
  const input = h("input", {
    type: "search", name: "search", autocomplete: "off", spellcheck: "false", value: text,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => search(input.value.trim()), PAUSE);
    },
  });
  return h("label", {}, h("span", {}, label), input);
}

/** Where in the list this is, and the ways to the parts before and behind. */
export function pager(found, offset, shown, go, what = "row") {
  const last = offset + shown;
  const text = shown === 0
    ? (found === 0 ? `no ${what}` : `behind the last of ${counted(found, what)}`)
    : `${number(offset + 1)}–${number(last)} of ${counted(found, what)}`;
  const button = (label, key, at, isThere) =>
    h("button", { type: "button", "data-key": key, disabled: !isThere, onclick: () => go(at) }, label);
  return h("nav", { class: "pager", "aria-label": "Parts of the list" },
    button("First", "first", 0, offset > 0),
    button("Previous", "previous", Math.max(0, offset - ROWS), offset > 0),
    h("span", { class: "count" }, text),
    button("Next", "next", offset + ROWS, last < found),
    button("Last", "last", Math.floor(Math.max(0, found - 1) / ROWS) * ROWS, last < found));
}

/** `offset` of an address. */
export function offsetOf(parameters) {
  const offset = Number.parseInt(parameters.get("offset") ?? "0", 10);
  return Number.isFinite(offset) && offset > 0 ? offset : 0;
}
