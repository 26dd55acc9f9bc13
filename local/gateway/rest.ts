/**
 * Auth and the REST API, by `@supabase/lite` on the stack's Postgres: sign-in at `/auth/v1`, tables
 * and functions at `/rest/v1`. As on hosted Supabase, each logs in as a role of its own.
 *
 * @module
 */

import { App } from "@supabase/lite";
import { PostgresConnection } from "@supabase/lite/postgres";
import type { MiddlewareHandler } from "hono";
import { createAuthAdmin } from "./auth_admin.ts";
import { AuthUsers } from "./auth_users.ts";
import { verifyInvitation } from "./verify_invitation.ts";
import { asRole } from "../postgres/roles.ts";
import type { ProjectConfig } from "../project.ts";
import type { Secrets } from "../secrets.ts";
import { RestConnection, skipSessionLookup } from "./rest_connection.ts";

/** Answers requests for `/auth/v1` and `/rest/v1`. */
export interface RestApi {
  fetch(request: Request, peerAddress: string | null): Promise<Response>;
  /** Makes the next request read the tables and functions again. */
  forgetSchema(): void;
  close(): Promise<void>;
}

/** What `createRestApi` needs. */
export interface RestApiOptions {
  /** The address of the database for its owner. */
  readonly databaseUrl: string;
  readonly config: ProjectConfig;
  readonly secrets: Secrets;
}

/** Creates the APIs. They connect at the first request. */
export function createRestApi({ databaseUrl, config, secrets }: RestApiOptions): RestApi {
  const authConnection = new PostgresConnection({
    url: asRole(databaseUrl, "supabase_auth_admin"),
    postgresOptions: { onnotice: () => {} },
  });
  const restConnection = new RestConnection({
    databaseUrl,
    searchPath: config.api.extra_search_path,
  });
  const auth = createApp(authConnection, config, secrets);
  const rest = createApp(restConnection, config, secrets, [skipSessionLookup]);
  const authAdmin = createAuthAdmin({
    users: new AuthUsers(authConnection.driver),
    secretKey: secrets.secret_key,
    siteUrl: config.auth.site_url,
    minimumPasswordLength: config.auth.minimum_password_length,
  });
  const passOn = async (request: Request, peerAddress: string | null) =>
    await auth.fetch(request, { peerAddress });
  return {
    async fetch(request, peerAddress) {
      if (!new URL(request.url).pathname.startsWith("/auth/v1/")) {
        return await rest.fetch(request, { peerAddress });
      }
      return await authAdmin(request) ??
        await verifyInvitation(request, (given) => passOn(given, peerAddress));
    },
    forgetSchema: () => restConnection.forgetSchema(),
    async close() {
      await Promise.all([authConnection.driver.end({ timeout: 1 }), restConnection.end()]);
    },
  };
}

/**
 * Creates the APIs of the package on a connection, of which each instance should serve only one.
 *
 * @param middlewares What comes before the package's own.
 */
export function createApp(
  connection: PostgresConnection,
  config: ProjectConfig,
  secrets: Secrets,
  middlewares?: MiddlewareHandler[],
) {
  return new App(
    {
      connection,
      api: {
        enabled: true,
        schemas: config.api.schemas,
        extra_search_path: config.api.extra_search_path,
        max_rows: config.api.max_rows,
        // Hosted projects load the extension safeupdate for the API.
        pg_safe_update: true,
      },
      auth: {
        enabled: true,
        site_url: config.auth.site_url,
        additional_redirect_urls: config.auth.additional_redirect_urls,
        jwt_expiry: config.auth.jwt_expiry,
        enable_signup: config.auth.enable_signup,
        minimum_password_length: config.auth.minimum_password_length,
        email: {
          enable_signup: config.auth.email.enable_signup,
          enable_confirmations: config.auth.email.enable_confirmations,
        },
        jwt_secret: secrets.jwt_secret,
        publishable_key: secrets.publishable_key,
        secret_key: secrets.secret_key,
      },
      // Admin mode would give all rights to requests without a key. Only Studio needs it.
      options: {
        server: { admin: false, disableStudio: true, ...(middlewares && { middlewares }) },
      },
    } as ConstructorParameters<typeof App>[0],
  );
}
