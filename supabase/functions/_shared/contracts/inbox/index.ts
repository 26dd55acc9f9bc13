/**
 * The API of inbox: what members do with conversations, people and connections.
 *
 * @module
 */
export * from "./connections.ts";
export * from "./conversations.ts";
export * from "./media.ts";
export * from "./messages.ts";
export * from "./people.ts";
export * from "./schedule.ts";
