/**
 * A button that copies a text.
 *
 * @module
 */

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { texts } from "../texts.ts";
import { Button } from "./button.tsx";
import { showToast } from "./toast.ts";

const SHOWN_MS = 3_000;

/** Says for a moment that it was copied. `what` tells screen readers one from another. */
export function CopyButton({ text, what, label = texts.common.copy }: {
  text: string;
  what: string;
  label?: string;
}) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <Button
      icon={isCopied ? Check : Copy}
      onClick={async () => {
        try {
          await navigator.clipboard.writeText(text);
          setIsCopied(true);
        } catch {
          // Forbidden, or not there at all where the page came over plain HTTP.
          showToast(texts.common.copyFailed);
        }
      }}
    >
      {isCopied ? texts.common.copied : label}
      <span className="visually-hidden">: {what}</span>
    </Button>
  );
}
