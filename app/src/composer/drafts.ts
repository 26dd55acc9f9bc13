/**
 * What was typed and not sent yet, kept per conversation on this device until the user signs out. When a
 * session expires, drafts wait for the same user and are deleted as soon as another one signs in.
 *
 * @module
 */

const PREFIX = "inbox.draft.";
const OWNER_KEY = "inbox.draft-owner";

/** The draft a user left in a conversation; empty where there is none. */
export function readDraft(userId: string, conversationId: string): string {
  claimDrafts(userId);
  return localStorage.getItem(PREFIX + conversationId) ?? "";
}

/** Keeps a draft, or deletes it where the text is empty. */
export function keepDraft(conversationId: string, text: string): void {
  try {
    if (text === "") localStorage.removeItem(PREFIX + conversationId);
    else localStorage.setItem(PREFIX + conversationId, text);
  } catch {
    // The storage is full or forbidden: the draft lives as long as the page.
  }
}

/** Deletes all drafts. */
export function clearDrafts(): void {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  }
}

/** Deletes the drafts of any other user. */
export function claimDrafts(userId: string): void {
  if (localStorage.getItem(OWNER_KEY) === userId) return;
  clearDrafts();
  try {
    localStorage.setItem(OWNER_KEY, userId);
  } catch {
    // Without storage there are no drafts to keep apart.
  }
}
