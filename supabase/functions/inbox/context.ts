/**
 * The apps that the routes of the inbox are added to.
 *
 * @module
 */
import type { Hono } from "hono";
import type { AppEnv } from "../_shared/http/app.ts";
import type { MemberStore } from "./member_store.ts";

/** The app of requests that a signed-in member makes. */
export type MemberApp = Hono<AppEnv<{ member: MemberStore }>>;

/** The app of requests without a member: links to files, and the schedule. */
export type OpenApp = Hono<AppEnv<object>>;
