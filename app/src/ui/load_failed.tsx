/**
 * What is shown where loading failed.
 *
 * @module
 */

import { describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { Button } from "./button.tsx";

/** The reason, and a button to try again. */
export function LoadFailed({ title, error, onRetry }: {
  title?: string;
  error: unknown;
  onRetry: () => void;
}) {
  return (
    <div className="empty-state" role="alert">
      {title && <h2>{title}</h2>}
      <p>{describeError(error)}</p>
      <Button onClick={onRetry}>{texts.errors.tryAgain}</Button>
    </div>
  );
}
