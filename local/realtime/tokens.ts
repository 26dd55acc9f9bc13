/**
 * Who speaks: the claims of a token, or of an API key of the stack.
 *
 * @module
 */

import { errors, jwtVerify } from "jose";
import { isSameSecret } from "../../supabase/functions/_shared/auth/hash.ts";

/** The claims that Realtime acts on. Policies see all of them. */
export interface Claims {
  readonly role: string;
  /** In seconds since 1970. A key of the API has none. */
  readonly exp?: number;
  readonly sub?: string;
  readonly [name: string]: unknown;
}

/** Why a token is refused, with the code and the words of hosted Realtime. */
export class TokenError extends Error {
  override name = "TokenError";
  constructor(
    readonly code: "InvalidJWTToken" | "MalformedJWT" | "JwtSignatureError",
    message: string,
  ) {
    super(message);
  }
}

/** What {@linkcode createTokenCheck} needs. */
export interface TokenSecrets {
  readonly publishable_key: string;
  readonly secret_key: string;
  readonly jwt_secret: string;
}

/**
 * Returns the claims of a token or key.
 *
 * @throws {TokenError} when it is not valid now.
 */
export type TokenCheck = (token: string) => Promise<Claims>;

/** Creates the check of the stack's keys, and of tokens signed with its secret. */
export function createTokenCheck(secrets: TokenSecrets): TokenCheck {
  const key = new TextEncoder().encode(secrets.jwt_secret);
  return async (token) => {
    // The gateway of hosted Supabase turns each kind of key into a token of its role.
    if (token === secrets.publishable_key) return { role: "anon" };
    if (await isSameSecret(token, secrets.secret_key)) return { role: "service_role" };
    try {
      const { payload } = await jwtVerify(token, key, { algorithms: ["HS256", "HS384", "HS512"] });
      const { role, exp } = payload;
      if (typeof role !== "string" || exp === undefined) {
        throw new TokenError("InvalidJWTToken", "Fields `role` and `exp` are required in JWT");
      }
      return { ...payload, role, exp } as Claims;
    } catch (error) {
      throw explain(error);
    }
  };
}

function explain(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) {
    const seconds = Math.floor(Date.now() / 1000) - Number(error.payload.exp);
    return new TokenError("InvalidJWTToken", `Token has expired ${seconds} seconds ago`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new TokenError("JwtSignatureError", "Failed to validate JWT signature");
  }
  if (error instanceof errors.JOSEError) {
    return new TokenError("MalformedJWT", "The token provided is not a valid JWT");
  }
  return error;
}
