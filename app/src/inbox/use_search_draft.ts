/**
 * The text in the search field, which becomes the search when the typing stops.
 *
 * @module
 */

import { useCallback, useEffect, useState } from "react";
import { normalSearch } from "../conversations/inbox_view.ts";

/** The search is sent this long after the last keystroke. */
const SEARCH_DELAY_MS = 250;

/**
 * The draft.
 *
 * @param search The search now; where it changes elsewhere, the draft follows.
 * @param onSettled A stable function, called with the search when the typing stops.
 */
export function useSearchDraft(search: string, onSettled: (search: string) => void) {
  const [draft, setDraft] = useState(search);
  const [known, setKnown] = useState(search);
  const settled = normalSearch(draft);
  if (known !== search) {
    setKnown(search);
    if (settled !== search) setDraft(search);
  }
  useEffect(() => {
    if (settled === search) return;
    const timer = setTimeout(() => onSettled(settled), settled === "" ? 0 : SEARCH_DELAY_MS);
    return () => clearTimeout(timer);
  }, [settled, search, onSettled]);
  const clear = useCallback(() => setDraft(""), []);
  return { draft, setDraft, clear };
}
