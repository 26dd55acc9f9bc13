/**
 * The database goes away while an agent is talking with a customer: the agent answers every message, the
 * log tells what was not stored, and when the database is back everything is stored again.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";

import {
  ConversationStateService,
  openConversation,
} from "../../../clients/conversation-sync/src/mod.ts";
import { startOutageStack } from "../../support/outage_stack.ts";
import { uniqueNumber } from "../../support/people.ts";
import { recordingLogger } from "../../../fakes/agent_api.ts";

const TURNS_BEFORE = 5;
const TURNS_AFTER = 3;

Deno.test("an agent survives a database outage", async () => {
  await using project = await startOutageStack();
  const { info } = project.stack;
  const userPhone = uniqueNumber();
  const logger = recordingLogger();
  const service = new ConversationStateService({
    apiBaseUrl: `${info.api_url}/functions/v1/conversation-sync`,
    apiKey: info.demo.agent_key,
    subDomain: info.demo.workspace,
    // Less than the API asks to wait, as an agent has it who would rather answer.
    timeoutMs: 2000,
    env: {},
    logger,
  });
  const turns: { text: string; isStored: boolean }[] = [];

  /** Answers a message of the customer, as an agent does who knows nothing of outages. */
  const answerNext = async () => {
    const text = `message ${turns.length}`;
    await using conv = await openConversation({ userPhone }, service);
    const results = [
      await conv.addUserMessage(text, { messageId: `wamid.${userPhone}.${turns.length}` }),
      await conv.syncState({ current_intent: "order", order_stage: text }),
      await conv.addBotMessage(`answer to ${text}`),
    ];
    turns.push({ text, isStored: results.every(Boolean) });
  };

  assertEquals(await service.health({ timeoutMs: 30_000 }), true);
  for (let turn = 0; turn < TURNS_BEFORE; turn++) await answerNext();
  assertEquals(turns.filter(({ isStored }) => isStored).length, TURNS_BEFORE, "it never worked");

  const deadline = Date.now() + 60_000;
  const isKilled = project.stopPostgres(1000);
  while (await service.health({ timeoutMs: 300 })) {
    assert(Date.now() < deadline, "the API does not report the outage");
  }
  while (turns.every(({ isStored }) => isStored)) {
    await answerNext();
    assert(Date.now() < deadline, "no call failed");
  }
  await isKilled;
  while (!turns.slice(-TURNS_AFTER).every(({ isStored }) => isStored)) {
    await delay(50);
    await answerNext();
    assert(Date.now() < deadline, "it did not recover");
  }

  assertEquals(await service.health(), true);
  assert(logger.entries.length > 0);
  for (const { message, fields } of logger.entries) {
    assertEquals(message, "conversation sync error");
    assert(["timeout", "unavailable", "network"].includes(String(fields.kind)), `${fields.kind}`);
  }
  assertEquals(service.metrics().calls.failed, logger.entries.length);

  const state = await service.getConversationByPhone(userPhone);
  assertEquals(state!.currentStep, turns.at(-1)!.text);
  const said = state!.context.previousMessages!.map(({ content }) => content);
  // What was stored is there, once, and what may have been stored is not there twice.
  for (const { text, isStored } of turns) {
    const copies = said.filter((content) => content === text).length;
    assert(isStored ? copies === 1 : copies <= 1, `${text}: ${copies}`);
  }
  assertEquals(new Set(said).size, said.length);
});
