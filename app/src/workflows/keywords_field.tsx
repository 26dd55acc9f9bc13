/**
 * A field for keywords.
 *
 * @module
 */

import { X } from "lucide-react";
import { useId, useState } from "react";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { IconButton } from "../ui/icon_button.tsx";

/** The keywords, and a field that adds one. */
export function KeywordsField({ keywords, onChange }: {
  keywords: string[];
  onChange: (keywords: string[]) => void;
}) {
  const id = useId();
  const [typed, setTyped] = useState("");
  function add(text: string) {
    const known = new Set(keywords.map((word) => word.toLowerCase()));
    const added: string[] = [];
    for (const word of text.split(/[,\n]/).map((part) => part.trim()).filter(Boolean)) {
      if (known.has(word.toLowerCase())) continue;
      known.add(word.toLowerCase());
      added.push(word);
    }
    if (added.length > 0) onChange([...keywords, ...added]);
    setTyped("");
  }
  return (
    <div className="field">
      <label htmlFor={id}>{texts.workflows.keywords}</label>
      {keywords.length > 0 && (
        <ul className="keywords">
          {keywords.map((word) => (
            <li key={word} className="keyword">
              <span>{word}</span>
              <IconButton
                label={texts.workflows.removeKeyword(word)}
                icon={X}
                size={13}
                onClick={() => onChange(keywords.filter((each) => each !== word))}
              />
            </li>
          ))}
        </ul>
      )}
      <div className="field-line">
        <input
          id={id}
          className="input"
          value={typed}
          autoComplete="off"
          aria-describedby={`${id}-hint`}
          onChange={({ target }) =>
            /[,\n]/.test(target.value) ? add(target.value) : setTyped(target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
            event.preventDefault();
            add(typed);
          }}
          // A typed keyword is saved even if it was not added.
          onBlur={() => add(typed)}
        />
        <Button disabled={typed.trim() === ""} onClick={() => add(typed)}>
          {texts.workflows.addKeyword}
        </Button>
      </div>
      <p className="field-hint" id={`${id}-hint`}>{texts.workflows.keywordsHint}</p>
    </div>
  );
}
