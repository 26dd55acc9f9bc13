/**
 * Asks which workflow a new setting is for.
 *
 * @module
 */

import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/text_field.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";

const TYPES = ["sarah", "brain", "rules_engine"] as const;
const OTHER = "";

/** The choice; leads to an empty form. */
export function NewWorkflowDialog({ taken, onClose }: { taken: string[]; onClose: () => void }) {
  const workspace = useWorkspace();
  const [, navigate] = useLocation();
  const free = TYPES.filter((type) => !taken.includes(type));
  const [choice, setChoice] = useState<string>(free[0] ?? OTHER);
  const [typed, setTyped] = useState("");
  const type = choice || typed;
  const isTaken = taken.includes(type);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!isTaken) navigate(`/${workspace.slug}${PAGES.workflows}/${type}`);
  }
  return (
    <Dialog title={texts.workflows.create} onClose={onClose}>
      <form className="dialog-form" onSubmit={submit}>
        <fieldset className="choices" hidden={free.length === 0}>
          <legend className="visually-hidden">{texts.workflows.typeLabel}</legend>
          {[...free, OTHER].map((each) => (
            <label key={each} className="choice">
              <input
                type="radio"
                name="type"
                checked={choice === each}
                onChange={() => setChoice(each)}
              />
              <span>
                <strong>
                  {each === OTHER ? texts.workflows.otherType : texts.workflows.names[each]}
                </strong>
                <small>
                  {each === OTHER ? texts.workflows.otherHint : texts.workflows.hints[each]}
                </small>
              </span>
            </label>
          ))}
        </fieldset>
        {choice === OTHER && (
          <TextField
            label={texts.workflows.typeName}
            hint={texts.workflows.typeNameHint}
            value={typed}
            pattern="[a-z][a-z0-9_]{0,63}"
            maxLength={64}
            required
            autoFocus
            autoCapitalize="none"
            onChange={({ target }) => setTyped(target.value)}
          />
        )}
        <p className="form-error" role="alert">{isTaken && texts.workflows.typeTaken}</p>
        <div className="dialog-actions">
          <Button onClick={onClose}>{texts.common.cancel}</Button>
          <Button type="submit" variant="primary">{texts.workflows.typeContinue}</Button>
        </div>
      </form>
    </Dialog>
  );
}
