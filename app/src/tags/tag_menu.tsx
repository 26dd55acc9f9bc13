/**
 * Puts tags on the open conversation and takes them off.
 *
 * @module
 */

import { Tags as TagsIcon } from "lucide-react";
import { useEffect, useState } from "react";
import { describeRefusal } from "../api/api_error.ts";
import type { Conversation, Tag } from "../api/types.ts";
import { texts } from "../texts.ts";
import { Menu } from "../ui/menu.tsx";
import { useToast } from "../ui/toast.tsx";
import { useCanManage } from "../workspace/workspace.tsx";
import { TagChip } from "./tag_chips.tsx";
import { TagsDialog } from "./tags_dialog.tsx";
import { tagsOf, useTagging, useTags } from "./use_tags.ts";

/** The button in the head of a thread, and its menu. */
export function TagMenu({ conversation }: { conversation: Conversation }) {
  const canManage = useCanManage();
  const { query, tags } = useTags();
  const [isManaging, setIsManaging] = useState(false);
  return (
    <>
      <Menu
        label={texts.tags.button(tagsOf(tags, conversation.tag_ids).length)}
        className="icon-button"
        panelClassName="tag-menu"
        trigger={<TagsIcon size={18} aria-hidden />}
      >
        {(close) => (
          <>
            {query.isError && <p className="menu-caption">{texts.tags.loadFailed}</p>}
            {query.isSuccess && tags.size === 0 && (
              <p className="menu-caption">
                {texts.tags.none} {!canManage && texts.tags.noneViewer}
              </p>
            )}
            {tags.size > 0 && (
              <fieldset className="menu-list">
                <legend className="visually-hidden">{texts.tags.label}</legend>
                {[...tags.values()].map((tag) => (
                  <TagChoice key={tag.id} tag={tag} conversation={conversation} />
                ))}
              </fieldset>
            )}
            {canManage && (
              <button
                type="button"
                className="menu-item"
                onClick={() => {
                  close();
                  setIsManaging(true);
                }}
              >
                {texts.tags.manage}
              </button>
            )}
          </>
        )}
      </Menu>
      {isManaging && <TagsDialog onClose={() => setIsManaging(false)} />}
    </>
  );
}

function TagChoice({ tag, conversation }: { tag: Tag; conversation: Conversation }) {
  const showToast = useToast();
  const tagging = useTagging(conversation, tag.id);
  const isOn = conversation.tag_ids.includes(tag.id);
  // What was chosen stands at once, and until the conversation says the same.
  const [chosen, setChosen] = useState<boolean>();
  useEffect(() => {
    if (chosen === isOn) setChosen(undefined);
  }, [chosen, isOn]);
  return (
    <label className="menu-item">
      <input
        type="checkbox"
        checked={chosen ?? isOn}
        // Not disabled, which would take the focus from it.
        onChange={(event) => {
          if (chosen !== undefined) return;
          setChosen(event.target.checked);
          tagging.mutate(event.target.checked, {
            onError(error) {
              setChosen(undefined);
              showToast(describeRefusal(error, { "23503": texts.tags.gone }));
            },
          });
        }}
      />
      <TagChip tag={tag} />
    </label>
  );
}
