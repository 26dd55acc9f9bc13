/**
 * Short messages at the edge of the page, read out by screen readers.
 *
 * @module
 */

import { X } from "lucide-react";
import { createContext, type ReactNode, useCallback, useContext, useState } from "react";
import { createPortal } from "react-dom";
import { describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { IconButton } from "./button.tsx";
import { useFrontDialog } from "./dialog.tsx";

interface Toast {
  id: number;
  message: string;
  action?: { label: string; onClick: () => void } | undefined;
}

type ShowToast = (message: string, action?: Toast["action"]) => void;

const ToastContext = createContext<ShowToast>(() => {});
const SHOWN_MS = 7_000;
let lastId = 0;

/** Keeps and draws the messages. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const remove = (id: number) => setToasts((shown) => shown.filter((toast) => toast.id !== id));
  const show = useCallback<ShowToast>((message, action) => {
    const id = ++lastId;
    setToasts((shown) => [...shown.slice(-2), { id, message, action }]);
    setTimeout(() => remove(id), SHOWN_MS);
  }, []);
  // A dialog covers whatever is outside of it, so they are in it while there is one.
  const place = useFrontDialog() ?? document.body;
  return (
    <ToastContext value={show}>
      {children}
      {createPortal(
        <div className="toasts" role="status" aria-live="polite">
          {toasts.map(({ id, message, action }) => (
            <div className="toast" key={id}>
              <span>{message}</span>
              {action && (
                <button
                  type="button"
                  className="toast-action"
                  onClick={() => {
                    remove(id);
                    action.onClick();
                  }}
                >
                  {action.label}
                </button>
              )}
              <IconButton
                label={texts.common.dismiss}
                icon={X}
                size={16}
                onClick={() => remove(id)}
              />
            </div>
          ))}
        </div>,
        place,
      )}
    </ToastContext>
  );
}

/** Shows a message for a few seconds. */
export function useToast(): ShowToast {
  return useContext(ToastContext);
}

/** Shows what went wrong; for `onError` of mutations. */
export function useErrorToast(): (error: unknown) => void {
  const show = useContext(ToastContext);
  return useCallback((error) => show(describeError(error)), [show]);
}
