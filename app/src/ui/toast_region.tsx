/**
 * Draws toasts.
 *
 * @module
 */

import { Toast } from "@base-ui/react/toast";
import { X } from "lucide-react";
import { useEffect } from "react";
import { texts } from "../texts.ts";
import { IconButton } from "./icon_button.tsx";

/** A button in a toast. */
export interface ToastAction {
  label: string;
  onClick: () => void;
}

const SHOWN_MS = 7_000;
const MAX_TOASTS = 3;

const manager = Toast.createToastManager();
const { promise: isDrawn, resolve: setDrawn } = Promise.withResolvers<void>();

/** Adds a toast as soon as there is a {@linkcode ToastRegion} to draw it. */
export async function addToast(message: string, action?: ToastAction): Promise<void> {
  await isDrawn;
  const id = manager.add({
    description: message,
    ...(action && {
      actionProps: {
        children: action.label,
        onClick() {
          manager.close(id);
          action.onClick();
        },
      },
    }),
  });
}

/** The place of all toasts; stands once in the app. */
export function ToastRegion() {
  useEffect(setDrawn, []);
  return (
    <Toast.Provider toastManager={manager} timeout={SHOWN_MS} limit={MAX_TOASTS}>
      <Toast.Portal>
        <Toast.Viewport className="toasts" role="status" aria-label={texts.app.notifications}>
          <Toasts />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

function Toasts() {
  const { toasts } = Toast.useToastManager();
  return toasts.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} role="group" className="toast">
      <Toast.Description render={<span />} />
      {toast.actionProps && <Toast.Action className="toast-action" aria-hidden={false} />}
      <Toast.Close
        aria-hidden={false}
        render={<IconButton label={texts.common.dismiss} icon={X} size={16} />}
      />
    </Toast.Root>
  ));
}
