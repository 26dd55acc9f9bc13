/**
 * What was typed and not sent yet, kept for each conversation on this device until somebody signs out.
 * A session that ends by itself takes nothing away from who wrote, and gives nothing to anybody else.
 *
 * @module
 */

const PREFIX = "inbox.draft.";
const OWNER_KEY = "inbox.draft-owner";

/** Makes the drafts those of a user, and forgets what somebody else left here. */
export function claimDrafts(userId: string): void {
  if (localStorage.getItem(OWNER_KEY) === userId) return;
  clearDrafts();
  try {
    localStorage.setItem(OWNER_KEY, userId);
  } catch {
    // No storage, no drafts in it.
  }
}

/** The draft of a conversation; empty where there is none. */
export function readDraft(conversationId: string): string {
  return localStorage.getItem(PREFIX + conversationId) ?? "";
}

/** Keeps a draft, or forgets it where it is empty. */
export function keepDraft(conversationId: string, text: string): void {
  try {
    if (text === "") localStorage.removeItem(PREFIX + conversationId);
    else localStorage.setItem(PREFIX + conversationId, text);
  } catch {
    // The storage is full or forbidden: the draft lives as long as the page.
  }
}

/** Forgets all drafts. */
export function clearDrafts(): void {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  }
}
