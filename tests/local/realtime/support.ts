/**
 * What the tests of Realtime share: a project with rooms whose members may listen, clients with tokens of their own,
 * and raw connections for what realtime-js never sends.
 *
 * @module
 */

import { createClient, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { SignJWT } from "jose";
import postgres from "postgres";
import { asRole, SUPERUSER } from "../../../local/postgres/roles.ts";
import type { Stack } from "../../../local/spawn_stack.ts";
import { eventually } from "../../support/eventually.ts";
import { ScratchProject } from "../../support/scratch_project.ts";

const ROOMS = `
create table public.room_members (topic text, user_id uuid, may_send boolean not null);
alter table public.room_members enable row level security;
create policy "Members can see themselves" on public.room_members for select to authenticated
  using (user_id = auth.uid());
create policy "Members can listen" on realtime.messages for select to authenticated
  using (extension = 'broadcast' and exists (
    select from public.room_members where topic = (select realtime.topic()) and user_id = auth.uid()
  ));
create policy "Writers can send" on realtime.messages for insert to authenticated
  with check (extension = 'broadcast' and exists (
    select from public.room_members where topic = (select realtime.topic()) and user_id = auth.uid() and may_send
  ));
create policy "A room that cannot be asked" on realtime.messages as restrictive for select to authenticated
  using ((select realtime.topic()) <> 'room:broken' or 1 / (length((select realtime.topic())) - 11) > 0);
`;

/** A stack with rooms. */
export interface Rooms extends AsyncDisposable {
  readonly project: ScratchProject;
  readonly stack: Stack;
  readonly sql: postgres.Sql;
  /** Makes a user a member of a room. */
  admit(userId: string, topic: string, options?: { maySend?: boolean }): Promise<void>;
  /** Signs a token of a user. */
  token(userId: string, options?: { seconds?: number; claims?: object }): Promise<string>;
  /** Sends from the database. */
  send(topic: string, event: string, payload: object, isPrivate?: boolean): Promise<void>;
}

/** Starts a stack with rooms. */
export async function startRooms(): Promise<Rooms> {
  await using cleanup = new AsyncDisposableStack();
  const project = cleanup.use(await ScratchProject.create());
  await project.write("supabase/migrations/20250102000000_rooms.sql", ROOMS);
  const stack = cleanup.use(await project.start());
  const sql = postgres(asRole(stack.info.db_url, SUPERUSER), { max: 2, onnotice: () => {} });
  cleanup.defer(() => sql.end());
  const { jwt_secret } = await project.secrets();
  const owned = cleanup.move();
  return {
    project,
    stack,
    sql,
    async admit(userId, topic, { maySend = false } = {}) {
      await sql`insert into public.room_members values (${topic}, ${userId}, ${maySend})`;
    },
    async token(userId, { seconds = 3600, claims = {} } = {}) {
      return await new SignJWT({ role: "authenticated", ...claims })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setSubject(userId)
        .setIssuedAt()
        .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
        .sign(new TextEncoder().encode(jwt_secret));
    },
    async send(topic, event, payload, isPrivate = true) {
      await sql`select realtime.send(${
        sql.json(payload as never)
      }, ${event}, ${topic}, ${isPrivate})`;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A client of realtime-js with one token, or with the publishable key alone. */
export interface Client extends AsyncDisposable {
  readonly supabase: SupabaseClient;
  /** Joins a channel, and resolves when the server has answered. */
  join(topic: string, options?: JoinOptions): Promise<Joined>;
}

/** Options of {@linkcode Client.join}. */
export interface JoinOptions {
  readonly isPublic?: boolean;
  readonly self?: boolean;
  readonly ack?: boolean;
}

/** A broadcast as a listener gets it. */
export interface Received {
  readonly event: string;
  // deno-lint-ignore no-explicit-any -- Payloads of many shapes, each checked by the test that gets it.
  readonly payload: any;
  readonly meta?: { id: string };
}

/** A channel of a client. */
export interface Joined {
  readonly channel: RealtimeChannel;
  /** Every status so far, with the message of its error. */
  readonly statuses: string[];
  readonly received: Received[];
  readonly system: { status: string; message: string }[];
  /** Waits until this many broadcasts have come. */
  got(count: number): Promise<Received[]>;
  /** Waits for a status that begins with this text. */
  became(status: string): Promise<string>;
}

/** Creates a client. */
export function connectClient({ stack }: { stack: Pick<Stack, "info"> }, token?: string): Client {
  const { info } = stack;
  const supabase = createClient(info.api_url, info.publishable_key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    ...(token === undefined ? {} : { accessToken: () => Promise.resolve(token) }),
  });
  return {
    supabase,
    async join(topic, options = {}) {
      if (token !== undefined) await supabase.realtime.setAuth();
      const joined = joinChannel(supabase, topic, options);
      await eventually("the server answers the join", () => joined.statuses.length > 0);
      return joined;
    },
    async [Symbol.asyncDispose]() {
      await supabase.removeAllChannels();
      await supabase.realtime.disconnect();
    },
  };
}

/** Joins a channel with any client of supabase-js. */
export function joinChannel(
  supabase: Pick<SupabaseClient, "channel">,
  topic: string,
  { isPublic = false, self = false, ack = false }: JoinOptions = {},
): Joined {
  const received: Received[] = [];
  const statuses: string[] = [];
  const system: Joined["system"] = [];
  const channel = supabase.channel(topic, {
    config: { private: !isPublic, broadcast: { self, ack } },
  });
  channel.on("broadcast", { event: "*" }, (message) => received.push(message as never))
    .on("system", {}, (message) => system.push(message))
    .subscribe((status, error) => statuses.push(error ? `${status} ${error.message}` : status));
  return {
    channel,
    statuses,
    received,
    system,
    async got(count) {
      await eventually(`${count} broadcasts have come`, () => received.length >= count);
      return received;
    },
    async became(status) {
      return await eventually(
        `the channel becomes ${status}`,
        () => statuses.find((each) => each.startsWith(status)),
      );
    },
  };
}

/** A connection without realtime-js. */
export interface RawConnection extends Disposable {
  readonly socket: WebSocket;
  /** Messages of the server, as JSON. */
  // deno-lint-ignore no-explicit-any -- JSON of many shapes, each checked by the test that gets it.
  readonly received: any[];
  /** Resolves to the code of the close. */
  readonly closed: Promise<number>;
  send(message: unknown): void;
}

/** Address of the WebSocket, with the publishable key. */
export function socketUrl({ info }: Pick<Stack, "info">, vsn = "2.0.0"): string {
  const origin = info.api_url.replace(/^http/, "ws");
  return `${origin}/realtime/v1/websocket?apikey=${info.publishable_key}&vsn=${vsn}`;
}

/** Opens a connection. */
export async function connectRaw(
  stack: Pick<Stack, "info">,
  vsn = "2.0.0",
): Promise<RawConnection> {
  const socket = new WebSocket(socketUrl(stack, vsn));
  const received: unknown[] = [];
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") received.push(JSON.parse(data));
  };
  const closed = new Promise<number>((resolve) => socket.onclose = ({ code }) => resolve(code));
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.onerror = () => {};
  return {
    socket,
    received,
    closed,
    send: (message) => socket.send(JSON.stringify(message)),
    [Symbol.dispose]: () => socket.close(),
  };
}
