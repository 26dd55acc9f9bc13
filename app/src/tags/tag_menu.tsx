/**
 * Adds tags to the open conversation and removes them.
 *
 * @module
 */

import { Tags as TagsIcon } from "lucide-react";
import { Suspense, useState } from "react";
import { describeRefusal } from "../api/api_error.ts";
import type { Conversation, Tag } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Menu, MenuCheckbox, MenuItem } from "../ui/menu.tsx";
import { showToast } from "../ui/toast.ts";
import { useCanManage } from "../workspace/workspace.tsx";
import { TagChip } from "./tag_chips.tsx";
import { tagsOf, useTagging, useTags } from "./use_tags.ts";
import { lazy } from "../ui/lazy.ts";

const TagsDialog = lazy(() => import("./tags_dialog.tsx"));

/** The button in the head of a conversation, and its menu. The default export, so that it is loaded after it. */
export default function TagMenu({ conversation }: { conversation: Conversation }) {
  const canManage = useCanManage();
  const { query, tags } = useTags();
  const [isManaging, setIsManaging] = useState(false);
  return (
    <>
      <Menu
        label={texts.tags.button(tagsOf(tags, conversation.tag_ids).length)}
        className="icon-button"
        popupClassName="tag-menu"
        align="end"
        trigger={<TagsIcon size={18} aria-hidden />}
      >
        {query.isError && <p className="menu-caption">{texts.tags.loadFailed}</p>}
        {query.isSuccess && tags.size === 0 && (
          <p className="menu-caption">
            {texts.tags.none} {!canManage && texts.tags.noneViewer}
          </p>
        )}
        {tags.size > 0 && (
          <div className="menu-list" role="group" aria-label={texts.tags.label}>
            {[...tags.values()].map((tag) => (
              <TagChoice key={tag.id} tag={tag} conversation={conversation} />
            ))}
          </div>
        )}
        {canManage && <MenuItem onClick={() => setIsManaging(true)}>{texts.tags.manage}</MenuItem>}
      </Menu>
      {isManaging && (
        <Suspense>
          <TagsDialog onClose={() => setIsManaging(false)} />
        </Suspense>
      )}
    </>
  );
}

function TagChoice({ tag, conversation }: { tag: Tag; conversation: Conversation }) {
  const tagging = useTagging(conversation, tag.id);
  const isOn = conversation.tag_ids.includes(tag.id);
  // A choice is shown at once. It ends when the conversation agrees with it, or when it was refused.
  const [chosen, setChosen] = useState<boolean>();
  if (chosen === isOn) setChosen(undefined);
  return (
    <MenuCheckbox
      checked={chosen ?? isOn}
      onCheckedChange={(isChecked) => {
        if (chosen !== undefined) return;
        setChosen(isChecked);
        tagging.mutate(isChecked, {
          onError(error) {
            setChosen(undefined);
            showToast(describeRefusal(error, { "23503": texts.tags.gone }));
          },
        });
      }}
    >
      <TagChip tag={tag} />
    </MenuCheckbox>
  );
}
