/**
 * Why a message was not delivered, and what can be done about it.
 *
 * @module
 */

import { RotateCw, Trash2 } from "lucide-react";
import { useState } from "react";
import { describeCode, describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { deliveryOf } from "./delivery.ts";
import type { ThreadItem } from "./items.ts";
import type { MessageActions } from "./message_actions.ts";

/** Reason and actions below a bubble; nothing where the message has not failed. */
export function MessageFailure({ item, canWrite, actions }: {
  item: ThreadItem;
  canWrite: boolean;
  actions: MessageActions;
}) {
  const { message, outbox, unsent } = item;
  const [isAsking, setIsAsking] = useState(false);
  const state = deliveryOf(item);
  if (state !== "failed" && state !== "unconfirmed") return null;
  const code = unsent ? undefined : outbox?.error_code ?? message?.error?.code;
  const canRetry = unsent
    ? unsent.error?.isTemporary
    : state === "unconfirmed" || outbox?.can_retry;
  return (
    <div className="failure" data-state={state}>
      <p>
        {reasonOf(item, state)}
        {code !== undefined && code !== null && <span className="failure-code">({code})</span>}
      </p>
      {canWrite && (unsent || outbox) && (
        <div className="failure-actions">
          {canRetry && (
            <button
              type="button"
              className="link-button"
              onClick={() => {
                if (unsent) actions.resend(unsent);
                else if (state === "unconfirmed") setIsAsking(true);
                else if (outbox) actions.retry(outbox, false);
              }}
            >
              <RotateCw size={14} aria-hidden />{" "}
              {state === "unconfirmed" ? texts.thread.retryUnconfirmed : texts.thread.retry}
            </button>
          )}
          {(unsent || !message) && (
            <button
              type="button"
              className="link-button"
              onClick={() => {
                if (unsent) actions.discardUnsent(unsent);
                else if (outbox) actions.discard(outbox);
              }}
            >
              <Trash2 size={14} aria-hidden /> {texts.thread.discard}
            </button>
          )}
        </div>
      )}
      {isAsking && outbox && (
        <ConfirmSecondSend
          onClose={() => setIsAsking(false)}
          onConfirm={() => {
            setIsAsking(false);
            actions.retry(outbox, true);
          }}
        />
      )}
    </div>
  );
}

function reasonOf({ message, outbox, unsent }: ThreadItem, state: string): string {
  if (unsent?.error) return `${texts.thread.requestFailed} ${describeError(unsent.error)}`;
  if (state === "unconfirmed") return texts.thread.unconfirmedHint;
  const known = outbox?.error_code ? describeCode(outbox.error_code) : undefined;
  return known || outbox?.error_message || message?.error?.message ||
    texts.thread.failedWithoutReason;
}

/** Asks before a message that may have arrived is sent again. */
function ConfirmSecondSend({ onClose, onConfirm }: {
  onClose: () => void;
  onConfirm: () => void;
}) {
  return (
    <Dialog title={texts.thread.confirmDoubleTitle} onClose={onClose}>
      <p>{texts.thread.confirmDouble}</p>
      <div className="dialog-actions">
        <Button onClick={onClose}>{texts.common.cancel}</Button>
        <Button variant="primary" onClick={onConfirm}>{texts.thread.retryUnconfirmed}</Button>
      </div>
    </Dialog>
  );
}
