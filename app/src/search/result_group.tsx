/**
 * A group of results: contacts, conversations or messages.
 *
 * @module
 */

import { type ReactNode, useEffect, useId, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { Spinner } from "../ui/spinner.tsx";

const SLOW_MS = 4_000;

/** A heading with the number of results, and the results. */
export function ResultGroup({ title, count, isStale = false, children }: {
  title: string;
  /** `20+` where there may be more; undefined while it is not known. */
  count: string | undefined;
  /** Whether these are the results of the search before. */
  isStale?: boolean;
  children: ReactNode;
}) {
  const id = useId();
  return (
    <section
      role="group"
      className="result-group"
      aria-labelledby={id}
      aria-busy={isStale}
    >
      <h2 id={id} className="result-heading">
        {title} {count !== undefined && <span className="result-count">{count}</span>}
        {isStale && <Spinner />}
      </h2>
      {children}
    </section>
  );
}

/** Says that a search is under way, and later that it takes long. */
export function Searching() {
  const [isSlow, setIsSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setIsSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <p className="result-note" role="status">
      <Spinner /> {isSlow ? texts.search.stillSearching : texts.search.searching}
    </p>
  );
}

/** Says that a search failed, and why. */
export function SearchFailed({ title, error, onRetry }: {
  title: string;
  error: unknown;
  onRetry: () => void;
}) {
  return (
    <p className="result-note" role="alert">
      <span>{title} {describeError(error)}</span>
      <button type="button" className="link-button" data-result onClick={onRetry}>
        {texts.errors.tryAgain}
      </button>
    </p>
  );
}

/** A button at the end of a group. */
export function ShowMore({ group, isBusy = false, hasFailed = false, onClick }: {
  /** Name of the group. */
  group: string;
  isBusy?: boolean;
  hasFailed?: boolean;
  onClick: () => void;
}) {
  return (
    <p className="result-note" role={hasFailed ? "alert" : undefined}>
      {hasFailed && <span>{texts.search.moreFailed}</span>}
      <button
        type="button"
        className="link-button"
        data-result
        aria-label={hasFailed ? undefined : texts.search.showMore(group)}
        aria-disabled={isBusy}
        onClick={() => isBusy || onClick()}
      >
        {hasFailed ? texts.errors.tryAgain : texts.search.showMoreShort}
        {isBusy && <Spinner />}
      </button>
    </p>
  );
}
