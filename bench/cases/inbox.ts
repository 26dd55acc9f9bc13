/**
 * Measures the inbox list of a workspace with very many conversations, beside another workspace of that size.
 *
 * @module
 */

import type postgres from "postgres";
import { truncateAll } from "../contenders.ts";
import { median, takeTurns } from "../measure.ts";
import { makeThreads } from "../messages.ts";
import { type ExplainedStatement, PlanRecorder } from "../plans.ts";
import { type Figure, figure } from "../report.ts";
import { signIn } from "../session.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

const RARE_WORD = "zanzibar";
/** How many previews contain the rare word. */
const RARE_COUNT = 20;
/** One of the most frequent words of words.ts. */
const COMMON_WORD = "please";
const CHUNK = 5_000;
/** A tag on every third conversation, and one on a few of the oldest. */
const TAGS = ["common", "rare"] as const;

/** Measures the pages of the list, and writes the plans of the search to a file. */
export const measureInbox: BenchCase = async (context) => {
  const recorder = new PlanRecorder();
  const admin = openDatabase(context);
  const member = openDatabase(context, { onnotice: recorder.onNotice });
  try {
    context.note(`creating ${inWords(context.size * 2)} conversations`);
    await truncateAll(admin);
    const { workspaceId, number } = await fill(context, admin);
    const tags = await putTags(admin, workspaceId);
    await admin`vacuum analyze`;
    await signIn(member, context.info.demo.email);
    const [last] = (await list(member, workspaceId)).slice(-1);
    const pages = makePages(member, { workspaceId, number, last: last!, tags });
    for (const { title, expected, run } of pages) {
      const found = (await run()).length;
      if (found !== expected) throw new Error(`${title}: ${found} conversations`);
    }
    const samples = await takeTurns(
      Object.fromEntries(pages.map(({ name, run }) => [name, run])),
      repeat(context, 30),
      3,
    );
    const plans: Plan[] = [];
    for (const { title, run } of pages) {
      plans.push({ title, statements: await recorder.record(member, run) });
    }
    await writePlans(context, plans);
    const scans = plans.flatMap(({ statements }) => statements)
      .filter(({ plan }) => /Seq Scan on (conversations|people|conversation_tags)/.test(plan))
      .length;
    return [
      ...pages.map(({ name, title }): Figure =>
        figure(
          `inbox.${name}.ms`,
          `Inbox of ${inWords(context.size)}: ${title}`,
          median(samples[name]!),
          "ms",
        )
      ),
      // A sequential scan of a small table is right.
      figure(
        "inbox.seq_scans",
        "Inbox: statements without an index",
        scans,
        "",
        context.size >= 100_000 ? "≤ 0" : null,
      ),
    ];
  } finally {
    await Promise.all([admin.end(), member.end()]);
  }
};

interface Cursor {
  readonly id: string;
  readonly moment: string;
}

/** A page of the list, as the inbox requests it. */
function list(
  sql: postgres.Sql,
  workspaceId: string,
  search = "",
  { after, tag = null }: { after?: Cursor; tag?: string | null } = {},
) {
  return sql<Cursor[]>`
    select id, activity_at::text as moment
    from public.search_conversations(
      workspace_id => ${workspaceId}, search => ${search}, tag_id => ${tag},
      before_activity_at => ${after?.moment ?? "infinity"}::text::timestamptz,
      before_id => ${after?.id ?? "ffffffff-ffff-ffff-ffff-ffffffffffff"}
    )`;
}

function makePages(
  sql: postgres.Sql,
  { workspaceId, number, last, tags }: {
    workspaceId: string;
    number: string;
    last: Cursor;
    tags: Record<typeof TAGS[number], string>;
  },
) {
  const search = (text: string) => () => list(sql, workspaceId, text);
  return [
    { name: "first", title: "first page", expected: 50, run: search("") },
    {
      name: "second",
      title: "second page",
      expected: 50,
      run: () => list(sql, workspaceId, "", { after: last }),
    },
    {
      name: "common_tag",
      title: "a tag on every third conversation",
      expected: 50,
      run: () => list(sql, workspaceId, "", { tag: tags.common }),
    },
    {
      name: "rare_tag",
      title: `a tag on ${RARE_COUNT} of the oldest`,
      expected: RARE_COUNT,
      run: () => list(sql, workspaceId, "", { tag: tags.rare }),
    },
    {
      name: "rare",
      title: `rare word (${RARE_WORD})`,
      expected: RARE_COUNT,
      run: search(RARE_WORD),
    },
    {
      name: "common",
      title: `common word (${COMMON_WORD})`,
      expected: 50,
      run: search(COMMON_WORD),
    },
    { name: "number", title: `a number (${number})`, expected: 1, run: search(number) },
    {
      name: "view",
      title: "first page of the view",
      expected: 50,
      run: () =>
        sql<Cursor[]>`
          select id, activity_at::text as moment
          from public.conversation_list
          where workspace_id = ${workspaceId}
          order by activity_at desc, id desc
          limit 50`,
    },
  ];
}

/** Loads conversations of one message each, half of them in another workspace, one in ten with a person. */
async function fill(
  context: BenchContext,
  sql: postgres.Sql,
): Promise<{ workspaceId: string; number: string }> {
  const [demo] = await sql`
    select workspace.id, workspace.user_id
    from public.workspaces as workspace
    where workspace.slug = ${context.info.demo.workspace}`;
  // Loading is not measured, and foreign keys and triggers would triple its time.
  await sql`set session_replication_role = replica`;
  const [other] = await sql`
    insert into public.workspaces (slug, name, user_id)
    values ('bench-other', 'Other', ${demo!.user_id})
    returning id, user_id`;
  const threads = makeThreads("inbox", context.size);
  const rareEvery = Math.floor(context.size / RARE_COUNT);
  let number = "";
  for (let start = 0; start < context.size; start += CHUNK) {
    const chunk = threads.slice(start, start + CHUNK).map((thread, index) => {
      const { messages: [message], ...conversation } = thread.next(1);
      if (start + index === Math.floor(context.size / 2)) {
        number = conversation.participant_identifier;
      }
      const isRare = (start + index) % rareEvery === 0 && (start + index) / rareEvery < RARE_COUNT;
      return {
        ...conversation,
        message,
        preview: (isRare ? `${RARE_WORD} ` : "") + message!.content.slice(0, 180),
        has_person: (start + index) % 10 === 0,
      };
    });
    for (const workspace of [demo!, other!]) await insert(sql, workspace, chunk);
  }
  await sql`reset session_replication_role`;
  // As people type it.
  return {
    workspaceId: demo!.id,
    number: number.replace(/^\+(\d\d)(\d{3})(\d{4})/, "+$1 $2-$3-"),
  };
}

/** Creates the tags and adds them to conversations. @returns their ids. */
async function putTags(
  sql: postgres.Sql,
  workspaceId: string,
): Promise<Record<typeof TAGS[number], string>> {
  const made = await sql<{ id: string; name: typeof TAGS[number] }[]>`
    insert into public.tags (workspace_id, name)
    select ${workspaceId}, name from unnest(${TAGS as unknown as string[]}::text[]) as name
    returning id, name`;
  const tags = Object.fromEntries(made.map(({ id, name }) => [name, id])) as Record<
    typeof TAGS[number],
    string
  >;
  await sql`
    insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
    select ${workspaceId}, conversation.id, tag.id
    from (
      select known.id, row_number() over (order by known.activity_at) as place
      from public.conversations as known
      where known.workspace_id = ${workspaceId}
    ) as conversation
    join (values (${tags.common}::uuid, 3, null), (${tags.rare}::uuid, 1, ${RARE_COUNT}::int))
      as tag (id, every, until)
      on conversation.place % tag.every = 0
        and conversation.place <= coalesce(tag.until, conversation.place)`;
  return tags;
}

async function insert(
  sql: postgres.Sql,
  workspace: postgres.Row,
  conversations: readonly unknown[],
): Promise<void> {
  await sql`
    with item as materialized (
      select gen_random_uuid() as person_id, item.*
      from jsonb_to_recordset(${JSON.stringify(conversations)}::text::jsonb) as item (
        external_conversation_id text, participant_identifier text, participant_name text,
        message jsonb, preview text, has_person boolean
      )
    ),
    person as (
      insert into public.people (id, workspace_id, name, phone)
      select item.person_id, ${workspace.id}, 'Contact ' || item.participant_name, item.participant_identifier
      from item
      where item.has_person
      on conflict do nothing
      returning id
    )
    insert into public.conversations
      (workspace_id, user_id, platform, external_conversation_id, participant_identifier,
        participant_name, person_id, messages, head_started_at, message_count, last_message_at,
        last_message_preview, last_message_type, last_message_direction)
    select ${workspace.id}, ${workspace.user_id}, 'whatsapp', item.external_conversation_id,
      item.participant_identifier, item.participant_name, person.id, jsonb_build_array(item.message),
      (item.message ->> 'sent_at')::timestamptz, 1, (item.message ->> 'sent_at')::timestamptz,
      item.preview, item.message ->> 'type', item.message ->> 'direction'
    from item
    left join person on person.id = item.person_id`;
}

interface Plan {
  readonly title: string;
  readonly statements: readonly ExplainedStatement[];
}

async function writePlans(context: BenchContext, plans: readonly Plan[]): Promise<void> {
  if (!context.isComplete) return;
  // Membership checks run too, but say nothing about the list.
  const relevant = plans.map(({ title, statements }) => ({
    title,
    statements: statements.filter(({ plan }) =>
      /Scan.* on (conversations|people|conversation_tags)/.test(plan)
    ),
  }));
  const queries = [
    ...new Set(relevant.flatMap(({ statements }) => statements.map((s) => s.query))),
  ];
  const fence = (language: string, text: string) => `\`\`\`${language}\n${text}\n\`\`\``;
  const text = [
    "# Plans of the inbox list",
    `Written by \`deno task bench\`: a workspace of ${inWords(context.size)} conversations beside as
many of another, called as \`authenticated\`. These are the plans the statements got as they ran
(\`auto_explain\`), those inside \`search_conversations\` included.`,
    "## Statements",
    ...queries.map((query, index) => `${index + 1}.\n\n${fence("sql", query)}`),
    ...relevant.flatMap(({ title, statements }) => [
      `## ${title[0]!.toUpperCase()}${title.slice(1)}`,
      ...statements.map(({ query, plan }) =>
        `Statement ${queries.indexOf(query) + 1}:\n\n${fence("", plan)}`
      ),
    ]),
  ].join("\n\n") + "\n";
  await Deno.writeTextFile(new URL("../plans.md", import.meta.url), text);
}
