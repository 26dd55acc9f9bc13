/**
 * Tags as they are shown on conversations.
 *
 * @module
 */

import type { Tag } from "../api/rows.ts";
import { texts } from "../texts.ts";

/** One tag. */
export function TagChip({ tag }: { tag: Tag }) {
  return <span className="tag tag-chip" data-colour={tag.colour} title={tag.name}>{tag.name}</span>;
}

/** The tags that fit a line of the list of conversations. */
export function TagLine({ tags }: { tags: readonly Tag[] }) {
  const max = 3;
  return (
    <span className="tag-line">
      <span className="visually-hidden">, {texts.tags.title}:</span>
      {tags.slice(0, max).map((tag) => <TagChip key={tag.id} tag={tag} />)}
      <MoreTags tags={tags.slice(max)} />
    </span>
  );
}

/** The tags that fit below the head of a conversation. */
export function TagList({ tags }: { tags: readonly Tag[] }) {
  const max = 12;
  return (
    <ul className="tag-list" aria-label={texts.tags.label}>
      {tags.slice(0, max).map((tag) => (
        <li key={tag.id}>
          <TagChip tag={tag} />
        </li>
      ))}
      {tags.length > max && (
        <li>
          <MoreTags tags={tags.slice(max)} />
        </li>
      )}
    </ul>
  );
}

/** The number of further tags. */
function MoreTags({ tags }: { tags: readonly Tag[] }) {
  return tags.length > 0 && (
    <span className="tag" title={tags.map(({ name }) => name).join(", ")}>
      <span aria-hidden>+{tags.length}</span>
      <span className="visually-hidden">{texts.tags.others(tags.length)}</span>
    </span>
  );
}
