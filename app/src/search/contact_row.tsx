/**
 * A contact among the results of a search.
 *
 * @module
 */

import { personName } from "../format.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import type { ContactHit } from "./queries.ts";

/** Name, number and email; leads to the newest conversation of the contact. */
export function ContactRow({ hit: { person, conversationId }, hrefOf }: {
  hit: ContactHit;
  hrefOf: (conversationId: string) => string;
}) {
  const name = personName(person);
  const details = [person.phone, person.email].filter((each) => each && each !== name);
  const content = (
    <>
      <Avatar name={name} size="small" />
      <span className="row-body">
        <span className="row-name">{name}</span>
        {details.length > 0 && <span className="row-preview">{details.join(" · ")}</span>}
        {conversationId === null && (
          <span className="row-preview">{texts.search.noConversation}</span>
        )}
      </span>
    </>
  );
  return conversationId === null
    ? <div className="row row-disabled">{content}</div>
    : (
      <a className="row contact-row" data-result href={hrefOf(conversationId)}>
        {content}
      </a>
    );
}
