/**
 * A secret that is shown once.
 *
 * @module
 */

import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";

/** The secret, with a button that copies it. It is in this component's memory and nowhere else. */
export function Secret({ value, label }: { value: string; label: string }) {
  const [isCopied, setIsCopied] = useState(false);
  return (
    <div className="secret">
      <code aria-label={label} tabIndex={0} role="textbox" aria-readonly>
        {value}
      </code>
      <Button
        icon={isCopied ? Check : Copy}
        onClick={async () => {
          await navigator.clipboard.writeText(value);
          setIsCopied(true);
        }}
      >
        {isCopied ? texts.common.copied : texts.common.copy}
      </Button>
    </div>
  );
}
