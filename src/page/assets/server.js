// Asks the control plane, and hears from it that something has changed.

/** The answer of a page, as JSON. */
export async function ask(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given.flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => [name, String(one)])));
  const response = await fetch(`${path}${given.length ? `?${query}` : ""}`, { signal });
  const text = await response.text();
  if (!response.ok) throw new Error(text.trim() || `the control plane answers ${response.status}`);
  const answer = JSON.parse(text);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/** How long nothing is told after something was, however much changes. */
const PAUSE = 500;

/** How soon it is tried again where there was no place. */
const RETRY = 30000;

/** Calls `changed` when something has changed, not the first time, and `told` with what is known of the connection. */
export function follow(changed, told) {
  let last = null;
  let timer = null;
  const source = new EventSource("/debug/live");
  source.onmessage = (event) => {
    const state = JSON.parse(event.data);
    told(state);
    if (last === event.data) return;
    const isFirst = last === null;
    last = event.data;
    if (isFirst || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      changed();
    }, PAUSE);
  };
  source.onerror = () => {
    told(null);
    // A browser tries again by itself, unless it was told that there is no place.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(changed, told), RETRY);
  };
}
