/**
 * Checks the token of a signed-in person, as hosted Supabase does in front of every function that has
 * `verify_jwt` on.
 *
 * @module
 */

import { jwtVerify } from "jose";

/** Says whether an `Authorization` header is accepted. */
export type UserTokenCheck = (
  authorization: string | null,
) => Promise<"valid" | "missing" | "invalid">;

/**
 * Creates the check of tokens that are signed with one secret. The keys of the API (`sb_…`) are not tokens and
 * are refused, as on hosted Supabase.
 */
export async function createUserTokenCheck(jwtSecret: string): Promise<UserTokenCheck> {
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(jwtSecret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  return async (authorization) => {
    if (!authorization) return "missing";
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token === undefined) return "invalid";
    try {
      await jwtVerify(token, key, { algorithms: ["HS256"] });
      return "valid";
    } catch {
      return "invalid";
    }
  };
}
