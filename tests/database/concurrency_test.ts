/**
 * Many callers of ingest_conversations at the same time, and people who change during it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type postgres from "postgres";
import {
  become,
  type Json,
  size,
  type Sql,
  sqlStateOf,
  untilBlocked,
  useDatabase,
} from "../support/database.ts";
import {
  at,
  conversation,
  ingest,
  ingestOne,
  message,
  messages,
  readConversation,
  readThread,
  type TestConversation,
  type TestMessage,
  threadFaults,
} from "../support/messages.ts";
import { Random } from "../support/messages_model.ts";
import {
  addIdentity,
  addPerson,
  claimNumber,
  type Connection,
  createConnection,
  createWorkspace,
  unique,
  uniqueNumber,
} from "../support/people.ts";

const database = useDatabase({ own: true });

/** Clients of the load tests, each with a session of its own. */
const CLIENTS = 16;

async function deadlocks(sql: Sql): Promise<number> {
  // Sessions report what they counted when they end, or after a while of doing nothing.
  const [row] = await sql<{ deadlocks: number }[]>`
    select deadlocks::integer as deadlocks from pg_stat_database where datname = current_database()`;
  return row!.deadlocks;
}

/** Runs the same work on many sessions of `service_role` at once. */
async function withClients(work: (sql: Sql, client: number) => Promise<void>): Promise<void> {
  const pools = Array.from(
    { length: CLIENTS },
    () => database.connect({ max: 1, connection: { role: "service_role" } }),
  );
  try {
    await Promise.all(pools.map((pool, client) => work(pool, client)));
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
  }
}

Deno.test("16 clients write the same 50 conversations in different orders", async () => {
  const { sql } = database;
  const requests = size(160, 1_000);
  const connection = await createConnection(sql, await createWorkspace(sql));
  const before = await deadlocks(sql);
  const targets = Array.from({ length: 50 }, () => conversation());
  const random = new Random(Date.now());
  // Every message is in about two of the requests.
  const perThread = Math.ceil(requests * 5 / 50);
  const pools = targets.map((target, index) => ({
    target,
    pool: messages(perThread * 2, 0, `t${index}`).map((each) => ({
      ...each,
      sent_at: at(random.below(perThread)),
      status: "sent",
    })),
  }));
  const batches = Array.from(
    { length: requests },
    () =>
      random.shuffle(pools).slice(0, 10 + random.below(20)).map(({ target, pool }) => {
        const start = random.below(pool.length);
        return {
          ...target,
          messages: random.shuffle(pool.slice(start, start + 1 + random.below(9))),
          changes: [{
            message_id: random.pick(pool).id,
            status: random.pick(["delivered", "read"]),
          }],
        };
      }),
  );

  const added = new Map<string, number>();
  const created = new Map<string, number>();
  let next = 0;
  await withClients(async (client) => {
    while (next < batches.length) {
      const batch = batches[next++]!;
      const rows = await ingest(client, connection, batch);
      assertEquals(rows.length, batch.length);
      for (const [index, row] of rows.entries()) {
        const id = batch[index]!.external_conversation_id;
        assertEquals([row.external_conversation_id, row.error], [id, null]);
        added.set(id, (added.get(id) ?? 0) + row.messages_added);
        if (row.outcome === "created") created.set(id, (created.get(id) ?? 0) + 1);
      }
    }
  });

  const sent = new Map<string, Map<string, TestMessage>>();
  for (const given of batches.flat()) {
    const known = sent.get(given.external_conversation_id) ?? new Map();
    for (const each of given.messages) known.set(each.id, each);
    sent.set(given.external_conversation_id, known);
  }
  for (const [externalId, known] of sent) {
    const [row] = await sql<{ id: string; unread_count: number }[]>`
      select id, unread_count from public.conversations
      where external_conversation_id = ${externalId}`;
    const thread = await readThread(sql, row!.id);
    assertEquals(await threadFaults(sql, row!.id), []);
    assertEquals(thread.map((each) => each.id).sort(), [...known.keys()].sort());
    assertEquals(added.get(externalId), thread.length, "the callers were told so");
    assertEquals(created.get(externalId), 1);
    assertEquals(row!.unread_count, thread.length);
    assertEquals(
      thread.filter((each) => each.content !== known.get(each.id)!.content),
      [],
      "every message is itself",
    );
  }
  assertEquals(await deadlocks(sql), before);
});

Deno.test("16 clients create the same conversations at once", async () => {
  const { sql } = database;
  const connection = await createConnection(sql, await createWorkspace(sql));
  const before = await deadlocks(sql);
  for (let round = 0; round < size(4, 100); round++) {
    const targets = Array.from({ length: 20 }, () => conversation({ messages: [message()] }));
    const outcomes: string[] = [];
    let added = 0;
    await withClients(async (client, number) => {
      const own = message({ sent_at: at(number) });
      const batch = new Random(number + round).shuffle(targets)
        .map((each) => ({ ...each, messages: [...each.messages, own] }));
      for (const row of await ingest(client, connection, batch)) {
        assertEquals(row.error, null);
        outcomes.push(row.outcome);
        added += row.messages_added;
      }
    });
    assertEquals(outcomes.filter((each) => each === "created").length, targets.length);
    assertEquals(added, targets.length * (CLIENTS + 1));
    const rows = await sql<{ id: string }[]>`
      select id from public.conversations
      where external_conversation_id = any (${
      targets.map((each) => each.external_conversation_id)
    })`;
    assertEquals(rows.length, targets.length);
    for (const row of rows) assertEquals(await threadFaults(sql, row.id), []);
  }
  assertEquals(await deadlocks(sql), before);
});

Deno.test("the same message twice at once: one is new, one is not", async () => {
  const { sql, service } = database;
  const connection = await createConnection(sql, await createWorkspace(sql));
  const target = conversation({ messages: [message()] });
  const first = await sql.reserve();
  try {
    await first`begin`;
    const [mine] = await ingest(first, connection, [target]);
    const other = ingest(service, connection, [target]);
    await untilBlocked(sql);
    await first`commit`;
    const [theirs] = await other;
    assertEquals([mine!.outcome, mine!.messages_added], ["created", 1]);
    assertEquals([theirs!.outcome, theirs!.messages_added], ["no_new_messages", 0]);
    assertEquals(theirs!.id, mine!.id);
    assertEquals(await threadFaults(sql, mine!.id!), []);
  } finally {
    first.release();
  }
});

Deno.test("a caller that gives up leaves nothing behind", async () => {
  const { sql, service } = database;
  const connection = await createConnection(sql, await createWorkspace(sql));
  const target = conversation({ messages: messages(3) });
  const first = await sql.reserve();
  try {
    await first`begin`;
    await ingest(first, connection, [target]);
    const other = ingest(service, connection, [target]);
    await untilBlocked(sql);
    await first`rollback`;
    const [row] = await other;
    assertEquals([row!.outcome, row!.messages_added], ["created", 3]);
    assertEquals(await threadFaults(sql, row!.id!), []);
  } finally {
    first.release();
  }
});

Deno.test("batches with a bad conversation do not get in the way of the others", async () => {
  const { sql } = database;
  const connection = await createConnection(sql, await createWorkspace(sql));
  const before = await deadlocks(sql);
  for (let round = 0; round < size(6, 150); round++) {
    const targets = Array.from({ length: 12 }, () => conversation());
    // Half of them are there already, so that some are created and some are locked.
    await ingest(sql, connection, targets.filter((_, index) => index % 2 === 0));
    const bad = { ...conversation(), participant_identifier: null };
    await withClients(async (client, number) => {
      const batch: unknown[] = new Random(number + round).shuffle(targets)
        .map((each) => ({ ...each, messages: messages(2) }));
      if (number % 4 === 0) batch.push(bad);
      const rows = await ingest(client, connection, batch);
      assertEquals(rows.filter((row) => row.error !== null).length, number % 4 === 0 ? 1 : 0);
    });
  }
  assertEquals(await deadlocks(sql), before);
});

/** A batch of conversations, each with one new message. */
function withNews(targets: TestConversation[], round: number): TestConversation[] {
  return targets.map((each) => ({ ...each, messages: [message({ sent_at: at(round) })] }));
}

/** Changes people again and again until there is no more to change or the load is over. */
async function whileIngesting(
  connection: Connection,
  targets: TestConversation[],
  rounds: number,
  change: (sql: Sql, round: number) => Promise<unknown>,
): Promise<void> {
  const writer = database.connect({ max: 1, connection: { role: "service_role" } });
  const other = database.connect({ max: 1, connection: { role: "service_role" } });
  const member = database.connect({ max: 1 });
  let isOver = false;
  try {
    await Promise.all([
      (async () => {
        try {
          for (let round = 0; !isOver; round++) {
            if (await change(member, round) === "done") return;
          }
        } catch (error) {
          isOver = true;
          throw error;
        }
      })(),
      ...[writer, other].map(async (client, number) => {
        try {
          for (let round = 0; round < rounds && !isOver; round++) {
            const order = new Random(round * 2 + number).shuffle(targets);
            const rows = await ingest(client, connection, withNews(order, round));
            assertEquals(rows.filter((row) => row.error !== null), []);
          }
        } finally {
          isOver = true;
        }
      }),
    ]);
  } finally {
    await Promise.all([writer.end(), other.end(), member.end()]);
  }
}

Deno.test("people are added while their conversations come in", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const before = await deadlocks(sql);
  const numbers = Array.from({ length: size(60, 600) }, uniqueNumber);
  const targets = numbers.map((number) => conversation({ participant_identifier: number }));
  const added = new Map<string, string>();
  await whileIngesting(connection, targets.slice(0, 40), size(40, 400), async (member, round) => {
    const number = numbers[round];
    if (!number) return "done";
    added.set(number, await addPerson(member, workspace, { phone: number }));
  });
  await ingest(service, connection, targets);
  const linked = await sql<{ participant_identifier: string; person_id: string | null }[]>`
    select participant_identifier, person_id from public.conversations
    where workspace_id = ${workspace.id}`;
  assert(added.size > 0);
  for (const row of linked) {
    assertEquals(row.person_id, added.get(row.participant_identifier) ?? null);
  }
  assertEquals(await deadlocks(sql), before);
});

Deno.test("a person is renumbered, and told apart, while conversations come in", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const before = await deadlocks(sql);
  // One conversation for each number the person will have: the first is linked, the others wait.
  const numbers = Array.from({ length: 400 }, uniqueNumber);
  const targets = numbers.map((number) => conversation({ participant_identifier: number }));
  const personId = await addPerson(sql, workspace, { phone: numbers[0]! });
  await ingest(service, connection, targets);
  const had = new Set([numbers[0]]);
  let last = numbers[0];
  await whileIngesting(connection, targets.slice(0, 60), size(60, 600), async (member, round) => {
    const number = numbers[(round + 1) % numbers.length]!;
    await member`update public.people set phone = ${number} where id = ${personId}`;
    had.add(number);
    last = number;
  });
  await ingest(service, connection, targets);
  const linked = await sql<{ participant_identifier: string; person_id: string | null }[]>`
    select participant_identifier, person_id from public.conversations
    where workspace_id = ${workspace.id}`;
  for (const row of linked) {
    if (row.person_id !== null) assert(had.has(row.participant_identifier));
    if (row.participant_identifier === last) assertEquals(row.person_id, personId);
  }
  assertEquals(await deadlocks(sql), before);
});

Deno.test("a person gets identities while conversations come in", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace, { platform: "telegram" });
  const before = await deadlocks(sql);
  const names = Array.from({ length: 100 }, () => unique("u"));
  const targets = names.map((name) => conversation({ participant_identifier: `@${name}` }));
  const personId = await addPerson(sql, workspace);
  await ingest(service, connection, targets);
  const known = new Set<string>();
  await whileIngesting(connection, targets, size(40, 400), async (member, round) => {
    const name = names[round];
    if (!name) return "done";
    await addIdentity(member, workspace, personId, "telegram", name.toUpperCase());
    known.add(`@${name}`);
  });
  await ingest(service, connection, targets);
  const linked = await sql<{ participant_identifier: string; person_id: string | null }[]>`
    select participant_identifier, person_id from public.conversations
    where workspace_id = ${workspace.id}`;
  for (const row of linked) {
    assertEquals(row.person_id, known.has(row.participant_identifier) ? personId : null);
  }
  assertEquals(await deadlocks(sql), before);
});

Deno.test("people are deleted and added again while their conversations come in", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const before = await deadlocks(sql);
  const number = uniqueNumber();
  // Several conversations of one person: the last ten digits are the same.
  const targets = ["", "0", "1", "2"].map((prefix) =>
    conversation({ participant_identifier: `+${prefix}${number.slice(1)}` })
  );
  await addPerson(sql, workspace, { phone: number });
  await whileIngesting(connection, targets, size(150, 1_500), async (member) => {
    await member`delete from public.people where workspace_id = ${workspace.id}`;
    await addPerson(member, workspace, { phone: number });
  });
  assertEquals(await deadlocks(sql), before);
});

Deno.test("a renumbering that meets a batch waits for nothing that waits for it", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const [linked, waiting] = [uniqueNumber(), uniqueNumber()];
  const personId = await addPerson(sql, workspace, { phone: linked });
  const targets = [linked, waiting].map((number) =>
    conversation({ participant_identifier: number, messages: [message()] })
  );
  const ids = await Promise.all(targets.map((each) => ingestOne(service, connection, each)));
  const batch = await sql.reserve();
  try {
    // The batch in slow motion: it has the waiting conversation, and comes to the linked one next.
    await batch`begin`;
    await ingest(batch, connection, [{ ...targets[1]!, messages: [message({ sent_at: at(9) })] }]);
    const renumbered = sqlStateOf(
      database.as({ userId: workspace.agent }, async (member) => {
        await member`update public.people set phone = ${waiting} where id = ${personId}`;
      }),
    );
    const rows = await ingest(batch, connection, [
      { ...targets[0]!, messages: [message({ sent_at: at(9) })] },
    ]);
    await batch`commit`;
    assertEquals(rows.map((row) => row.error), [null]);
    assertEquals(await renumbered, null);
  } finally {
    batch.release();
  }
  await ingest(service, connection, targets);
  for (const id of ids) {
    assertEquals((await readConversation(sql, id)).person_id, personId);
  }
});

Deno.test("webhooks, files, batches and merges of the same customers wait for each other in no circle", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const phoneNumberId = uniqueNumber().replace("+", "9");
  await claimNumber(sql, connection, phoneNumberId);
  const customers = Array.from({ length: 8 }, (_, index) => ({
    phone: uniqueNumber(),
    // Sorts in another order than the numbers.
    bsuid: `BR.${9 - index}${unique()}`,
  }));
  const sent: string[] = [];
  const image = () => {
    const id = unique("wamid.");
    sent.push(id);
    return message({ id, type: "image", media_url: `https://example.com/${id}.jpg` });
  };
  /** What Kapso says of a customer, by number or by BSUID. */
  const element = ({ phone, bsuid }: typeof customers[number], isByNumber: boolean) => {
    const names = [phone.slice(1), bsuid].map((name) => `${phoneNumberId}:${name}`);
    if (!isByNumber) names.reverse();
    return {
      kind: "conversation",
      phoneNumberId,
      conversation: {
        external_conversation_id: names[0],
        thread_aliases: [names[1]],
        participant_identifier: phone,
        person: { name: `Customer ${Math.random()}`, phone, identifiers: [bsuid] },
        messages: [image()],
      },
    };
  };
  const deliver = async (client: Sql, elements: unknown[]) => {
    await client`
      select * from public.record_webhook_event(
        ${phoneNumberId}, 'whatsapp.message.received', ${unique()}, 'e30=', ${
      client.json(elements as Json)
    }
      )`;
  };
  await deliver(service, customers.map((customer) => element(customer, true)));

  const until = performance.now() + size(5, 60) * 1000;
  const seed = Math.floor(Math.random() * 1e6);
  const before = await deadlocks(sql);
  const some = (random: Random) => random.shuffle(customers).slice(0, 1 + random.below(4));
  const work: Record<string, (client: Sql, random: Random) => Promise<unknown>> = {
    webhook: (client, random) =>
      deliver(client, some(random).map((customer) => element(customer, random.oneIn(2)))),
    ingest: (client, random) =>
      ingest(
        client,
        connection,
        some(random).map(({ phone }) => ({
          external_conversation_id: `${phone.slice(1)}@s.whatsapp.net`,
          participant_identifier: phone,
          messages: [image()],
        })),
      ),
    media: async (client) => {
      const copies = await client`
        select conversation_id, message_id, attempts
        from public.claim_media_copies(${connection.id}, 5, 60)`;
      const results = copies.map((copy) => ({
        ...copy,
        state: "linked",
        error: null,
        retry_seconds: null,
        media: { state: "linked", mime_type: "image/jpeg", at: new Date().toISOString() },
      }));
      await client`
        select public.finish_media_copies(${connection.id}, ${client.json(results as Json)})`;
    },
    merge: async (_client, random) => {
      const asOwner = (run: (transaction: Sql) => Promise<postgres.Row[]>) =>
        sql.begin(async (transaction) => {
          await become(transaction, { userId: workspace.owner });
          return await run(transaction);
        }).catch((error): postgres.Row[] => {
          // Another session has merged one of them, or again.
          if (!error.code?.startsWith("PT")) throw error;
          return [];
        });
      const people = await sql<{ id: string }[]>`
        select id from public.people where workspace_id = ${workspace.id} order by id`;
      const [kept, merged] = random.shuffle([...people]);
      if (merged !== undefined) {
        await asOwner((owner) =>
          owner`select id from public.merge_people(${kept!.id}, ${merged.id})`
        );
      }
      const merges = await sql<{ id: string }[]>`
        select id from public.person_merges
        where workspace_id = ${workspace.id} and undone_at is null
        order by created_at desc limit 2`;
      for (const { id } of merges) await asOwner((owner) => owner`select public.undo_merge(${id})`);
    },
    retry: (client) => client`select public.retry_webhook_events()`,
    drain: (client) => client`select public.drain_webhook_events(${phoneNumberId})`,
  };
  const jobs = ["webhook", "webhook", "webhook", "webhook", "webhook", "ingest", "ingest", "ingest"]
    .concat(["media", "media", "media", "merge", "merge", "retry"])
    .concat(["drain", "drain"]);
  const pools = jobs.map(() => database.connect({ max: 1, connection: { role: "service_role" } }));
  try {
    await Promise.all(jobs.map(async (job, index) => {
      const random = new Random(seed + index);
      while (performance.now() < until) await work[job]!(pools[index]!, random);
    }));
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
  }
  let drained = 1;
  while (drained > 0) {
    const [pass] = await service`select * from public.drain_webhook_events(${phoneNumberId})`;
    drained = pass!.drained;
  }
  const events = await sql`
    select state, error, count(*)::integer as count from private.webhook_events
    where phone_number_id = ${phoneNumberId} group by state, error`;
  assertEquals(events.map(({ state, error }) => [state, error]), [["processed", null]], `${seed}`);
  assertEquals(await deadlocks(sql) - before, 0, `deadlocks with seed ${seed}`);
  const threads = await sql<{ id: string }[]>`
    select id from public.conversations where workspace_id = ${workspace.id}`;
  assertEquals(threads.length, customers.length);
  const stored: string[] = [];
  for (const { id } of threads) {
    assertEquals(await threadFaults(sql, id), []);
    stored.push(...(await readThread(sql, id)).map((each) => each.id));
  }
  assertEquals(stored.toSorted(), sent.toSorted());
});
