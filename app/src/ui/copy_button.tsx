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

/** Shows for a moment that the text was copied. `what` names the text for screen readers. */
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
          // The clipboard is forbidden, or missing on a page without HTTPS.
          showToast(texts.common.copyFailed);
        }
      }}
    >
      {isCopied ? texts.common.copied : label}
      <span className="visually-hidden">: {what}</span>
    </Button>
  );
}
