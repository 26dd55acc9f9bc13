/**
 * Notes about people: what `person_notes.metadata` holds.
 *
 * @module
 */
import { storableObject } from "./text.ts";

/** `metadata` of a note, in bytes of its JSON. */
export const MAX_NOTE_METADATA_BYTES = 16 * 1024;

/**
 * How a note came about: whatever the program that wrote it wants to remember, such as the messages and
 * the model behind a daily summary. Empty for what people write.
 */
export const noteMetadata = storableObject(MAX_NOTE_METADATA_BYTES);
