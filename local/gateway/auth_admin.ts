/**
 * The admin API of Auth, which `@supabase/lite` lacks: what `auth.admin` of supabase-js calls to create, list, change
 * and delete users, to invite people, and to make links that sign in. Nothing is sent by e-mail here: a program gets
 * the link from `generateLink()`.
 *
 * Paths, bodies and errors are those of Supabase Auth:
 * https://github.com/supabase/auth/blob/master/openapi.yaml
 *
 * Not here: changes of an e-mail address by link, bans of a kind other than a duration, factors, and soft deletion.
 *
 * @module
 */

import { createHash, randomInt } from "node:crypto";
import { Hono } from "hono";
import * as z from "zod";
import { isSameSecret } from "../../supabase/functions/_shared/auth/hash.ts";
import type { AuthUsers, UserRow } from "./auth_users.ts";

/** What `createAuthAdmin` needs. */
export interface AuthAdminOptions {
  readonly users: AuthUsers;
  /** The secret key of the stack: a person who has it may do everything. */
  readonly secretKey: string;
  /** Where links lead by default. */
  readonly siteUrl: string;
  readonly minimumPasswordLength: number;
}

/** Answers the requests of the admin API, and passes all others on. */
export type AuthAdmin = (request: Request) => Promise<Response | undefined>;

const MAX_PER_PAGE = 1000;
const metadata = z.record(z.string(), z.unknown());
const email = z.email().transform((address) => address.toLowerCase());
/** A duration as Auth takes it: `24h`, `30m`, `1h30m`; `none` ends a ban. */
const banDuration = z.string().regex(/^(none|(\d+h)?(\d+m)?(\d+s)?)$/).refine((text) =>
  text !== ""
);

const newUser = z.object({
  id: z.guid().optional(),
  email,
  password: z.string().optional(),
  email_confirm: z.boolean().default(false),
  user_metadata: metadata.default({}),
  app_metadata: metadata.optional(),
});
const userChange = z.object({
  email: email.optional(),
  password: z.string().optional(),
  email_confirm: z.boolean().optional(),
  user_metadata: metadata.optional(),
  app_metadata: metadata.optional(),
  ban_duration: banDuration.optional(),
});
const invitation = z.object({ email, data: metadata.default({}) });
const linkRequest = z.object({
  type: z.enum(["signup", "invite", "magiclink", "recovery"]),
  email,
  password: z.string().optional(),
  data: metadata.default({}),
  redirect_to: z.string().optional(),
});

/** A request that is refused. */
class Refusal extends Error {
  readonly status: 400 | 401 | 403 | 404 | 422;
  readonly code: string;

  constructor(status: Refusal["status"], code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Creates the API. */
export function createAuthAdmin(options: AuthAdminOptions): AuthAdmin {
  const { users, secretKey, siteUrl, minimumPasswordLength } = options;
  const app = new Hono().basePath("/auth/v1");

  app.onError((error, context) => {
    if (!(error instanceof Refusal)) throw error;
    const { status, code, message } = error;
    return context.json({ code: status, error_code: code, msg: message }, status);
  });
  app.use("*", async (context, next) => {
    await requireSecretKey(context.req.raw, secretKey);
    await next();
  });

  app.get("/admin/users", async (context) => {
    const page = wholeNumber(context.req.query("page"), 1, Number.MAX_SAFE_INTEGER);
    const perPage = wholeNumber(context.req.query("per_page"), 50, MAX_PER_PAGE);
    const { users: found, total } = await users.list(page, perPage);
    const last = Math.max(1, Math.ceil(total / perPage));
    const link = (to: number, rel: string) =>
      `</admin/users?page=${to}&per_page=${perPage}>; rel="${rel}"`;
    const links = [...(page < last ? [link(page + 1, "next")] : []), link(last, "last")];
    return context.json({ users: found.map(toUser), aud: "authenticated" }, 200, {
      "X-Total-Count": String(total),
      Link: links.join(", "),
    });
  });

  app.post("/admin/users", async (context) => {
    const given = await read(context.req.raw, newUser);
    checkPassword(given.password, minimumPasswordLength);
    const created = await users.create({
      id: given.id,
      email: given.email,
      password: given.password,
      isConfirmed: given.email_confirm,
      userMetadata: given.user_metadata,
      appMetadata: given.app_metadata,
    });
    if (created === undefined) throw emailExists();
    return context.json(toUser(created));
  });

  app.get("/admin/users/:id", async (context) => {
    const found = await users.find(readId(context.req.param("id")));
    if (found === undefined) throw userNotFound();
    return context.json(toUser(found));
  });

  app.put("/admin/users/:id", async (context) => {
    const given = await read(context.req.raw, userChange);
    checkPassword(given.password, minimumPasswordLength);
    const changed = await users.change(readId(context.req.param("id")), {
      email: given.email,
      password: given.password,
      isConfirmed: given.email_confirm,
      userMetadata: given.user_metadata,
      appMetadata: given.app_metadata,
      banSeconds: given.ban_duration === undefined ? undefined : seconds(given.ban_duration),
    });
    if (changed === "missing") throw userNotFound();
    if (changed === "taken") throw emailExists();
    return context.json(toUser(changed));
  });

  app.delete("/admin/users/:id", async (context) => {
    const body = await read(
      context.req.raw,
      z.object({ should_soft_delete: z.boolean().default(false) }),
    );
    if (body.should_soft_delete) {
      throw new Refusal(400, "validation_failed", "The local stack deletes users for good only");
    }
    if (!await users.delete(readId(context.req.param("id")))) throw userNotFound();
    return context.json({});
  });

  app.post("/invite", async (context) => {
    const given = await read(context.req.raw, invitation);
    const user = await invite(users, given.email, given.data);
    // A token without its link lets no user in; a later link replaces it.
    return context.json(toUser(user));
  });

  app.post("/admin/generate_link", async (context) => {
    const given = await read(context.req.raw, linkRequest);
    const { user, type } = await accountForLink(users, given, minimumPasswordLength);
    const otp = String(randomInt(0, 1_000_000)).padStart(6, "0");
    const token = createHash("sha256").update(`${given.email}${otp}`).digest("hex");
    const column = type === "magiclink" || type === "recovery"
      ? "recovery_token"
      : "confirmation_token";
    const kept = await users.keepToken(user.id, column, token);
    const redirectTo = given.redirect_to ?? context.req.query("redirect_to") ?? siteUrl;
    const link = new URL("/auth/v1/verify", context.req.url);
    link.search = new URLSearchParams({ token, type, redirect_to: redirectTo }).toString();
    return context.json({
      ...toUser(kept),
      action_link: link.href,
      email_otp: otp,
      hashed_token: token,
      verification_type: type,
      redirect_to: redirectTo,
    });
  });

  return async (request) => {
    const { pathname } = new URL(request.url);
    const isAdmin = pathname.startsWith("/auth/v1/admin/") || pathname === "/auth/v1/invite";
    return isAdmin ? await app.fetch(request) : undefined;
  };
}

/** Makes sure that the caller has the secret key, in either of the headers in which supabase-js sends it. */
async function requireSecretKey(request: Request, secretKey: string): Promise<void> {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  const given = [request.headers.get("apikey"), bearer].filter((key) => key !== null && key);
  if (given.length === 0) {
    throw new Refusal(401, "no_authorization", "This endpoint requires a valid Bearer token");
  }
  for (const key of given) {
    if (await isSameSecret(key!, secretKey)) return;
  }
  throw new Refusal(403, "not_admin", "User not allowed");
}

/** Creates the user who is invited, or finds the one who was invited before. */
async function invite(
  users: AuthUsers,
  address: string,
  userMetadata: Record<string, unknown>,
): Promise<UserRow> {
  const invited = { email: address, isConfirmed: false, isInvited: true, userMetadata };
  const user = await users.findByEmail(address) ?? await users.create(invited) ??
    await users.findByEmail(address);
  if (user === undefined || user.email_confirmed_at !== null) throw emailExists();
  return user;
}

/** The user whom a link signs in, and the kind of the link: that of a new user is for signing up. */
async function accountForLink(
  users: AuthUsers,
  given: z.output<typeof linkRequest>,
  minimumPasswordLength: number,
): Promise<{ user: UserRow; type: z.output<typeof linkRequest>["type"] }> {
  const { type } = given;
  if (type === "invite") return { user: await invite(users, given.email, given.data), type };
  const known = await users.findByEmail(given.email);
  if (known !== undefined) {
    if (type === "signup" && known.email_confirmed_at !== null) throw emailExists();
    return { user: known, type };
  }
  if (type === "recovery") throw userNotFound();
  if (type === "signup" && given.password === undefined) {
    throw new Refusal(400, "validation_failed", "Signup requires a valid password");
  }
  checkPassword(given.password, minimumPasswordLength);
  const created = await users.create({
    email: given.email,
    password: given.password,
    isConfirmed: false,
    userMetadata: given.data,
  });
  if (created === undefined) throw emailExists();
  return { user: created, type: "signup" };
}

/** A user as the API shows it: no hash, no token, and no key without a value. */
function toUser(row: UserRow): Record<string, unknown> {
  const times = {
    email_confirmed_at: row.email_confirmed_at,
    confirmed_at: row.confirmed_at,
    invited_at: row.invited_at,
    confirmation_sent_at: row.confirmation_sent_at,
    recovery_sent_at: row.recovery_sent_at,
    last_sign_in_at: row.last_sign_in_at,
    banned_until: row.banned_until,
    deleted_at: row.deleted_at,
  };
  return {
    id: row.id,
    aud: row.aud,
    role: row.role,
    email: row.email ?? "",
    phone: row.phone ?? "",
    ...Object.fromEntries(Object.entries(times).filter(([, time]) => time !== null)),
    app_metadata: row.raw_app_meta_data ?? {},
    user_metadata: row.raw_user_meta_data ?? {},
    identities: row.identities,
    created_at: row.created_at,
    updated_at: row.updated_at,
    is_anonymous: row.is_anonymous,
  };
}

/** Reads a JSON body; one that is missing is an empty object. */
async function read<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
): Promise<z.output<Schema>> {
  let body: unknown;
  try {
    body = JSON.parse(await request.text() || "{}");
  } catch {
    throw new Refusal(400, "bad_json", "Could not parse request body as JSON");
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Refusal(400, "validation_failed", `${issue!.path.join(".")}: ${issue!.message}`);
}

function readId(text: string): string {
  if (z.guid().safeParse(text).success) return text;
  throw new Refusal(404, "validation_failed", "user_id must be an UUID");
}

function wholeNumber(text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined || text === "") return otherwise;
  if (!/^[1-9]\d*$/.test(text)) {
    throw new Refusal(400, "validation_failed", "page and per_page are whole numbers from 1 on");
  }
  return Math.min(Number(text), most);
}

function seconds(duration: string): number {
  if (duration === "none") return 0;
  const units = { h: 3600, m: 60, s: 1 };
  return [...duration.matchAll(/(\d+)([hms])/g)]
    .reduce((sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units], 0);
}

function checkPassword(password: string | undefined, minimum: number): void {
  if (password === undefined) return;
  if (password.length < minimum) {
    throw new Refusal(
      422,
      "weak_password",
      `Password should be at least ${minimum} characters.`,
    );
  }
  // bcrypt reads no more.
  if (new TextEncoder().encode(password).length > 72) {
    throw new Refusal(400, "validation_failed", "Password cannot be longer than 72 characters");
  }
}

function emailExists(): Refusal {
  return new Refusal(
    422,
    "email_exists",
    "A user with this email address has already been registered",
  );
}

function userNotFound(): Refusal {
  return new Refusal(404, "user_not_found", "User not found");
}
