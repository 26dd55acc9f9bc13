/**
 * Signs that something is loading.
 *
 * @module
 */

import { texts } from "../texts.ts";

/** A small turning circle, beside a text that says what is loading. */
export function Spinner() {
  return <span className="spinner" aria-hidden />;
}

/** A page that is being loaded. */
export function PageSpinner() {
  return (
    <div className="center-page" role="status">
      <Spinner />
      <span className="visually-hidden">{texts.app.loading}</span>
    </div>
  );
}
