/**
 * Moves through the results of a search with the arrow keys.
 *
 * @module
 */

/** Every result that can be opened, and every button between them. */
const RESULTS = "[data-result]";

/** Moves the focus into a list of results; false where there is none. */
export function focusFirst(list: ParentNode | null): boolean {
  const first = list?.querySelector<HTMLElement>(RESULTS);
  first?.focus();
  return first !== undefined && first !== null;
}

/** Moves to the result that a key stands for; `onLeave` is called where that is above the first one. */
export function moveFocus(
  event: { key: string; target: EventTarget; preventDefault: () => void },
  list: ParentNode,
  onLeave: () => void,
): void {
  const results = [...list.querySelectorAll<HTMLElement>(RESULTS)];
  const from = results.findIndex((result) => result === event.target);
  const to = {
    ArrowDown: from + 1,
    ArrowUp: from - 1,
    Home: 0,
    End: results.length - 1,
  }[event.key];
  if (to === undefined || from < 0) return;
  event.preventDefault();
  if (to < 0) onLeave();
  else results[to]?.focus();
}
