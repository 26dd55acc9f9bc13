// Reads everyone who changed since a time. For Node 18 or later, and Deno.
import process from "node:process";

const { SUPABASE_URL, MESSAGING_API_KEY, MESSAGING_CONNECTION_ID } = process.env;

async function getPage(parameters) {
  const query = new URLSearchParams(parameters);
  const response = await fetch(`${SUPABASE_URL}/functions/v1/messaging-people?${query}`, {
    headers: { "x-api-key": MESSAGING_API_KEY, "x-connection-id": MESSAGING_CONNECTION_ID },
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status}: ${answer.error ?? answer.message}`);
  return answer.people;
}

const people = new Map();
let updated_since = "1970-01-01T00:00:00Z"; // Or where the last run ended.
let offset = 0;
while (true) {
  const page = await getPage({ limit: 500, offset, updated_since });
  for (const person of page) people.set(person.id, person);
  const last = page.at(-1)?.updated_at ?? updated_since;
  // On from the last change that was seen. Only where a whole page has one time, on by number.
  offset = last === updated_since ? offset + page.length : 0;
  updated_since = last;
  if (page.length < 500) break;
}
process.stdout.write(`${people.size} people, next time from ${updated_since}\n`);
