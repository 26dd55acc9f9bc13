/**
 * A list in a dialog, whose entries can be changed and deleted.
 *
 * @module
 */

import { Pencil, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { texts } from "../texts.ts";
import { Button } from "./button.tsx";
import { IconButton } from "./icon_button.tsx";

/** The list. Deleting an entry asks first, below the entry. */
export function ManagedList<Item extends { id: string }>(
  { label, items, render, editLabel, onEdit, deleteLabel, deleteQuestion, onDelete, isDeleting }: {
    label: string;
    items: readonly Item[];
    render: (item: Item) => ReactNode;
    editLabel: (item: Item) => string;
    onEdit: (item: Item) => void;
    deleteLabel: (item: Item) => string;
    deleteQuestion: (item: Item) => string;
    onDelete: (item: Item) => void;
    isDeleting: boolean;
  },
) {
  const [askedFor, setAskedFor] = useState<string>();
  return (
    <ul className="managed-list" aria-label={label}>
      {items.map((item) => (
        <li key={item.id}>
          <div className="managed-entry">
            <div className="managed-body">{render(item)}</div>
            <IconButton label={editLabel(item)} icon={Pencil} onClick={() => onEdit(item)} />
            <IconButton
              label={deleteLabel(item)}
              icon={Trash2}
              aria-expanded={askedFor === item.id}
              onClick={() => setAskedFor(askedFor === item.id ? undefined : item.id)}
            />
          </div>
          {askedFor === item.id && (
            <div className="managed-question" role="group" aria-label={deleteLabel(item)}>
              <p>{deleteQuestion(item)}</p>
              <Button
                onClick={() =>
                  setAskedFor(undefined)}
              >
                {texts.common.cancel}
              </Button>
              <Button
                variant="danger"
                isBusy={isDeleting}
                onClick={() =>
                  onDelete(item)}
              >
                {texts.common.delete}
              </Button>
            </div>
          )}
        </li>
      ))}
    </ul>
  );
}
