/**
 * Users of the local Auth, for its admin API: `auth.users` and `auth.identities` as `@supabase/lite` keeps them.
 *
 * @module
 */

import { hash } from "bcryptjs";
import type postgres from "postgres";

/** Rounds of bcrypt, as Supabase Auth has them. */
const ROUNDS = 10;

/** A row of `auth.users` with its identities. */
export interface UserRow {
  id: string;
  aud: string;
  role: string;
  email: string | null;
  phone: string | null;
  email_confirmed_at: string | null;
  confirmed_at: string | null;
  invited_at: string | null;
  confirmation_sent_at: string | null;
  recovery_sent_at: string | null;
  last_sign_in_at: string | null;
  banned_until: string | null;
  deleted_at: string | null;
  raw_app_meta_data: Record<string, unknown> | null;
  raw_user_meta_data: Record<string, unknown> | null;
  is_anonymous: boolean;
  created_at: string;
  updated_at: string;
  identities: unknown[];
}

/** What a new user has. */
export interface NewUser {
  readonly id?: string | undefined;
  readonly email: string;
  readonly password?: string | undefined;
  readonly isConfirmed: boolean;
  readonly isInvited?: boolean;
  readonly userMetadata: Record<string, unknown>;
  readonly appMetadata?: Record<string, unknown> | undefined;
}

/** What may be changed; what is undefined stays. */
export interface UserChange {
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly isConfirmed?: boolean | undefined;
  /** Merged into the stored one; a key that is null is removed. */
  readonly userMetadata?: Record<string, unknown> | undefined;
  /** Merged like `userMetadata`. */
  readonly appMetadata?: Record<string, unknown> | undefined;
  /** Seconds from now; 0 ends a ban. */
  readonly banSeconds?: number | undefined;
}

/** The column in which a link's token is kept. */
export type TokenColumn = "confirmation_token" | "recovery_token";

/** Reads and writes users. Every function takes e-mail addresses in lower case. */
export class AuthUsers {
  readonly #sql: postgres.Sql;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  /** Reads a page of users, oldest first, and the number of all users. */
  async list(page: number, perPage: number): Promise<{ users: UserRow[]; total: number }> {
    const users = await this.#select(
      this.#sql`order by account.created_at, account.id limit ${perPage} offset ${
        (page - 1) * perPage
      }`,
    );
    const [row] = await this.#sql`select count(*)::integer as total from auth.users`;
    return { users, total: row!.total };
  }

  /** Finds a user by id. */
  async find(id: string): Promise<UserRow | undefined> {
    return (await this.#select(this.#sql`where account.id = ${id}`))[0];
  }

  /** Finds a user by e-mail address. */
  async findByEmail(email: string): Promise<UserRow | undefined> {
    return (await this.#select(
      this.#sql`where account.email = ${email} and not account.is_sso_user`,
    ))[0];
  }

  /**
   * Creates a user with its identity.
   *
   * @returns Nothing if the id or the e-mail address is taken.
   */
  async create(user: NewUser): Promise<UserRow | undefined> {
    const id = user.id ?? crypto.randomUUID();
    const password = await hash(user.password ?? crypto.randomUUID(), ROUNDS);
    const appMetadata = { provider: "email", providers: ["email"], ...user.appMetadata };
    const userMetadata = { ...user.userMetadata, email_verified: user.isConfirmed };
    const identity = { sub: id, email: user.email, email_verified: user.isConfirmed };
    const isCreated = await this.#sql.begin(async (sql) => {
      const [created] = await sql`
        insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, invited_at,
          raw_app_meta_data, raw_user_meta_data)
        values (${id}, 'authenticated', 'authenticated', ${user.email}, ${password},
          ${user.isConfirmed ? sql`now()` : null}, ${user.isInvited ? sql`now()` : null},
          ${sql.json(appMetadata as postgres.JSONValue)}, ${
        sql.json(userMetadata as postgres.JSONValue)
      })
        on conflict do nothing
        returning id`;
      if (created === undefined) return false;
      await sql`
        insert into auth.identities (id, provider, provider_id, user_id, identity_data)
        values (${crypto.randomUUID()}, 'email', ${id}, ${id}, ${sql.json(identity)})`;
      return true;
    });
    return isCreated ? await this.find(id) : undefined;
  }

  /**
   * Changes a user.
   *
   * @returns `missing` if there is no such user, `taken` if another one has the e-mail address.
   */
  async change(id: string, change: UserChange): Promise<UserRow | "missing" | "taken"> {
    const password = change.password === undefined ? null : await hash(change.password, ROUNDS);
    const { email = null, isConfirmed = null, banSeconds = null } = change;
    const json = (value: Record<string, unknown> | undefined) =>
      this.#sql.json((value ?? {}) as postgres.JSONValue);
    try {
      const changed = await this.#sql`
        update auth.users
        set email = coalesce(${email}, email),
          encrypted_password = coalesce(${password}, encrypted_password),
          email_confirmed_at = case when ${isConfirmed}::boolean then coalesce(email_confirmed_at, now())
            else email_confirmed_at end,
          banned_until = case when ${banSeconds}::integer is null then banned_until
            when ${banSeconds}::integer = 0 then null
            else now() + make_interval(secs => ${banSeconds}::integer) end,
          raw_user_meta_data = jsonb_strip_nulls(coalesce(raw_user_meta_data, '{}') || ${
        json(change.userMetadata)
      }::jsonb),
          raw_app_meta_data = jsonb_strip_nulls(coalesce(raw_app_meta_data, '{}') || ${
        json(change.appMetadata)
      }::jsonb),
          updated_at = now()
        where id = ${id}
        returning id`;
      if (changed.length === 0) return "missing";
    } catch (error) {
      if ((error as { code?: string }).code === "23505") return "taken";
      throw error;
    }
    if (email !== null) {
      await this.#sql`
        update auth.identities
        set identity_data = identity_data || ${this.#sql.json({ email })}::jsonb, updated_at = now()
        where user_id = ${id} and provider = 'email'`;
    }
    return (await this.find(id)) ?? "missing";
  }

  /** Keeps the token of a link, in place of an earlier one. @returns The user as it is then. */
  async keepToken(id: string, column: TokenColumn, token: string): Promise<UserRow> {
    const sentAt = column === "confirmation_token" ? "confirmation_sent_at" : "recovery_sent_at";
    await this.#sql`
      update auth.users
      set ${this.#sql(column)} = ${token}, ${this.#sql(sentAt)} = now(), updated_at = now()
      where id = ${id}`;
    return (await this.find(id))!;
  }

  /** Deletes a user with everything that belongs to it. @returns Whether there was one. */
  async delete(id: string): Promise<boolean> {
    const deleted = await this.#sql`delete from auth.users where id = ${id} returning id`;
    return deleted.length > 0;
  }

  async #select(condition: postgres.PendingQuery<postgres.Row[]>): Promise<UserRow[]> {
    // As JSON, so that times are texts in the form of the API.
    const rows = await this.#sql<{ account: UserRow }[]>`
      select to_jsonb(account) || jsonb_build_object('identities', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'identity_id', identity.id, 'id', identity.provider_id, 'user_id', identity.user_id,
          'identity_data', identity.identity_data, 'provider', identity.provider, 'email', identity.email,
          'last_sign_in_at', identity.last_sign_in_at, 'created_at', identity.created_at,
          'updated_at', identity.updated_at
        ) order by identity.created_at), '[]')
        from auth.identities as identity
        where identity.user_id = account.id
      )) as account
      from auth.users as account
      ${condition}`;
    return rows.map((row) => row.account);
  }
}
