/**
 * `auth.admin` of supabase-js works on the stack with its secret key, as on hosted Supabase.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createClient } from "@supabase/supabase-js";
import { useDatabase } from "../support/database.ts";
import { unique } from "../support/people.ts";

const database = useDatabase();
const PASSWORD = "correct horse battery";
const OPTIONS = { auth: { persistSession: false, autoRefreshToken: false } };

function connect(key: "secret_key" | "publishable_key" = "secret_key") {
  const { api_url, [key]: apiKey } = database.info;
  return createClient(api_url, apiKey, OPTIONS);
}

function address(): string {
  return `${unique("Person.").replaceAll(" ", "")}@example.com`;
}

Deno.test("a user is created, found, changed and deleted", async () => {
  const { auth } = connect();
  const email = address();
  const created = await auth.admin.createUser({
    email,
    password: PASSWORD,
    email_confirm: true,
    user_metadata: { name: "Rita" },
    app_metadata: { plan: "free" },
  });
  assertEquals(created.error, null);
  const user = created.data.user!;
  assertEquals(user.email, email.toLowerCase());
  assertEquals(user.user_metadata, { name: "Rita", email_verified: true });
  assertEquals(user.app_metadata, { provider: "email", providers: ["email"], plan: "free" });
  assertEquals(user.identities?.map(({ provider }) => provider), ["email"]);
  assert(user.email_confirmed_at);
  assertEquals(JSON.stringify(user).includes("$2"), false);

  const signedIn = await connect("publishable_key").auth
    .signInWithPassword({ email, password: PASSWORD });
  assertEquals(signedIn.error, null);
  // Like everybody who signs up, the user has a workspace.
  const { data: workspaces } = await createClient(
    database.info.api_url,
    database.info.publishable_key,
    { ...OPTIONS, accessToken: () => Promise.resolve(signedIn.data.session!.access_token) },
  ).from("workspaces").select("id");
  assertEquals(workspaces?.length, 1);

  assertEquals((await auth.admin.getUserById(user.id)).data.user?.id, user.id);
  const changed = await auth.admin.updateUserById(user.id, {
    password: "another password",
    user_metadata: { name: null, city: "Lima" },
  });
  assertEquals(changed.error, null);
  assertEquals(changed.data.user?.user_metadata, { city: "Lima", email_verified: true });
  const old = await connect("publishable_key").auth.signInWithPassword({
    email,
    password: PASSWORD,
  });
  assertEquals(old.error?.code, "invalid_credentials");
  const again = await connect("publishable_key").auth
    .signInWithPassword({ email, password: "another password" });
  assertEquals(again.error, null);

  assertEquals((await auth.admin.deleteUser(user.id)).error, null);
  assertEquals((await auth.admin.getUserById(user.id)).error?.code, "user_not_found");
  assertEquals((await auth.admin.deleteUser(user.id)).error?.status, 404);
});

Deno.test("users are listed page by page", async () => {
  const { auth } = connect();
  for (let count = 0; count < 3; count++) {
    assertEquals((await auth.admin.createUser({ email: address() })).error, null);
  }
  const first = await auth.admin.listUsers({ page: 1, perPage: 2 });
  assertEquals(first.error, null);
  assertEquals(first.data.users.length, 2);
  // Not `lastPage`, of which supabase-js reads one digit.
  const { total, nextPage } = first.data as { total: number; nextPage: number };
  assert(total >= 3);
  assertEquals(nextPage, 2);
  const second = await auth.admin.listUsers({ page: 2, perPage: 2 });
  const ids = new Set([...first.data.users, ...second.data.users].map(({ id }) => id));
  assertEquals(ids.size, first.data.users.length + second.data.users.length);
});

Deno.test("what cannot be is refused with the codes of Supabase Auth", async () => {
  const { auth } = connect();
  const email = address();
  await auth.admin.createUser({ email });
  const twice = await auth.admin.createUser({ email: email.toUpperCase() });
  assertEquals([twice.error?.status, twice.error?.code], [422, "email_exists"]);
  const weak = await auth.admin.createUser({ email: address(), password: "short" });
  assertEquals([weak.error?.status, weak.error?.code], [422, "weak_password"]);
  const wrong = await auth.admin.createUser({ email: "not an address" });
  assertEquals([wrong.error?.status, wrong.error?.code], [400, "validation_failed"]);
  const unknown = await auth.admin.generateLink({ type: "recovery", email: address() });
  assertEquals([unknown.error?.status, unknown.error?.code], [404, "user_not_found"]);
});

Deno.test("only the secret key opens it", async () => {
  const publishable = await connect("publishable_key").auth.admin.listUsers();
  assertEquals([publishable.error?.status, publishable.error?.code], [403, "not_admin"]);
  const url = `${database.info.api_url}/auth/v1/admin/users`;
  const without = await fetch(url);
  assertEquals(without.status, 401);
  await without.body?.cancel();
  const wrong = await fetch(url, { headers: { apikey: "sb_secret_wrong" } });
  assertEquals(wrong.status, 403);
  await wrong.body?.cancel();
  const member = await fetch(url, {
    headers: { apikey: database.info.publishable_key, authorization: "Bearer a.b.c" },
  });
  assertEquals(member.status, 403);
  await member.body?.cancel();
});

Deno.test("an invitation by link lets the invited person in, once", async () => {
  const { auth } = connect();
  const email = address();
  const invited = await auth.admin.inviteUserByEmail(email, { data: { name: "Sari" } });
  assertEquals(invited.error, null);
  assert(invited.data.user?.invited_at);
  assertEquals(invited.data.user?.email_confirmed_at, undefined);

  const { data, error } = await auth.admin.generateLink({ type: "invite", email });
  assertEquals(error, null);
  assertEquals(data.user?.id, invited.data.user?.id);
  const link = data.properties!.action_link;
  assertMatch(link, /\/auth\/v1\/verify\?token=[0-9a-f]{64}&type=invite&redirect_to=/);
  const opened = await fetch(link, { redirect: "manual" });
  await opened.body?.cancel();
  assertEquals(opened.status, 303);
  const fragment = new URLSearchParams(new URL(opened.headers.get("location")!).hash.slice(1));
  assertEquals(fragment.get("type"), "invite");
  const signedIn = await connect("publishable_key").auth.getUser(fragment.get("access_token")!);
  assertEquals(signedIn.data.user?.email, email.toLowerCase());

  const second = await fetch(link, { redirect: "manual" });
  await second.body?.cancel();
  assertMatch(second.headers.get("location")!, /error_code=otp_expired/);
  const again = await auth.admin.inviteUserByEmail(email);
  assertEquals(again.error?.code, "email_exists");
});

Deno.test("links and codes of each kind sign in", async () => {
  const { auth } = connect();
  const signUp = await auth.admin.generateLink({
    type: "signup",
    email: address(),
    password: PASSWORD,
  });
  assertEquals(signUp.error, null);
  const byHash = await connect("publishable_key").auth.verifyOtp({
    type: "signup",
    token_hash: signUp.data.properties!.hashed_token,
  });
  assertEquals(byHash.error, null);
  assertEquals(byHash.data.user?.id, signUp.data.user?.id);

  const email = signUp.data.user!.email!;
  for (const type of ["magiclink", "recovery"] as const) {
    const made = await auth.admin.generateLink({ type, email });
    assertEquals(made.error, null);
    const byCode = await connect("publishable_key").auth.verifyOtp({
      type,
      email,
      token: made.data.properties!.email_otp,
    });
    assertEquals(byCode.error, null);
    assertEquals(byCode.data.user?.id, signUp.data.user?.id);
  }
  const invited = await auth.admin.generateLink({ type: "invite", email: address() });
  const accepted = await connect("publishable_key").auth.verifyOtp({
    type: "invite",
    token_hash: invited.data.properties!.hashed_token,
  });
  assertEquals(accepted.error, null);
});
