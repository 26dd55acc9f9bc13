/**
 * Where settings come from, and what becomes of a service without them.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";

import {
  ConversationStateService,
  ConversationSyncError,
  readEnvironment,
} from "../../../clients/conversation-sync/src/mod.ts";
import { KEY, recordingLogger, startFakeApi } from "../../../fakes/agent_api.ts";

const FORMER = {
  CARTAAI_API_BASE_URL: "https://former.example.com",
  CARTAAI_API_KEY: "former-key",
  CARTAAI_SUBDOMAIN: "former",
  CARTAAI_LOCAL_ID: "former-branch",
};
const NEUTRAL = {
  CONVERSATION_API_BASE_URL: "https://neutral.example.com",
  CONVERSATION_API_KEY: "neutral-key",
  CONVERSATION_SUBDOMAIN: "neutral",
  CONVERSATION_LOCAL_ID: "neutral-branch",
};

Deno.test("readEnvironment() knows the names of existing agents", () => {
  assertEquals(
    readEnvironment({
      ...FORMER,
      USE_CARTAAI_API: "true",
      ENABLE_CONVERSATION_SYNC: "true",
      CONVERSATION_API_TIMEOUT: "10.0",
    }),
    {
      apiBaseUrl: "https://former.example.com",
      apiKey: "former-key",
      subDomain: "former",
      localId: "former-branch",
      enabled: true,
      timeoutMs: 10_000,
      invalid: [],
    },
  );
});

Deno.test("readEnvironment() takes the neutral names first", () => {
  const both = readEnvironment({ ...FORMER, ...NEUTRAL });
  assertEquals([both.apiBaseUrl, both.apiKey], ["https://neutral.example.com", "neutral-key"]);
  assertEquals([both.subDomain, both.localId], ["neutral", "neutral-branch"]);
});

Deno.test("readEnvironment() leaves CARTAAI_* aside when USE_CARTAAI_API says so", () => {
  assertEquals(readEnvironment({ ...FORMER, USE_CARTAAI_API: "False" }), { invalid: [] });
  const neutral = readEnvironment({ ...FORMER, ...NEUTRAL, USE_CARTAAI_API: "0" });
  assertEquals(neutral.apiKey, "neutral-key");
});

Deno.test("readEnvironment() reads nothing from what says nothing", () => {
  assertEquals(
    readEnvironment({
      CONVERSATION_API_KEY: "  ",
      ENABLE_CONVERSATION_SYNC: "perhaps",
      CONVERSATION_API_TIMEOUT: "-1",
    }),
    { invalid: ["ENABLE_CONVERSATION_SYNC", "CONVERSATION_API_TIMEOUT"] },
  );
});

Deno.test("options go before the environment", async () => {
  await using api = startFakeApi();
  const service = new ConversationStateService({
    apiBaseUrl: `${api.url}/base/`,
    apiKey: KEY,
    subDomain: "mine",
    env: { ...NEUTRAL, ENABLE_CONVERSATION_SYNC: "true" },
  });
  await service.createConversation({ userId: "51999999999" });
  const [request] = api.requests;
  assertEquals(request!.path, "/base/api/v1/conversations");
  assertEquals(request!.headers.get("authorization"), `Bearer ${KEY}`);
  // The branch of another business is not taken along.
  assertEquals(request!.body, { userId: "51999999999", subDomain: "mine" });
});

Deno.test("the environment's branch goes with the environment's business alone", async () => {
  await using api = startFakeApi();
  const env = { ...NEUTRAL, CONVERSATION_API_BASE_URL: api.url };
  const service = new ConversationStateService({ env });
  await service.createConversation({ userId: "51999999999" });
  await service.createConversation({ userId: "51999999999", subDomain: "other" });
  assertEquals(
    api.requests.map(({ body }) => [body.subDomain, body.localId]),
    [["neutral", "neutral-branch"], ["other", undefined]],
  );
});

Deno.test("a service that is switched off sends nothing and breaks nothing", async () => {
  await using api = startFakeApi();
  const logger = recordingLogger();
  const service = new ConversationStateService({
    apiBaseUrl: api.url,
    apiKey: KEY,
    subDomain: "shop",
    throwOnError: true,
    logger,
    env: { ENABLE_CONVERSATION_SYNC: "false" },
  });
  assertEquals(service.isEnabled, false);
  assertEquals(await service.lookupTenantByPhone("51999999999"), null);
  assertEquals(await service.createConversation({ userId: "51999999999" }), null);
  assertEquals(api.requests, []);
  assertEquals(service.metrics().calls.total, 0);
  assertEquals(logger.entries, [
    { level: "info", message: "conversation sync disabled", fields: { reason: "switched off" } },
  ]);
});

Deno.test("a service that cannot work says why, once, and switches itself off", async () => {
  const good = { apiBaseUrl: "https://example.com", apiKey: KEY };
  const cases = [
    { ...good, apiBaseUrl: undefined },
    { ...good, apiKey: undefined },
    { ...good, apiBaseUrl: "example.com" },
    { ...good, apiBaseUrl: "ftp://example.com" },
    { ...good, apiKey: "two\nlines" },
    { ...good, timeoutMs: NaN },
    { ...good, retries: -1 },
  ];
  for (const options of cases) {
    const logger = recordingLogger();
    const service = new ConversationStateService({ ...options, env: {}, logger });
    assertEquals(await service.lookupTenantByPhone("51999999999"), null);
    assertEquals(await service.health(), false);
    assertEquals(service.isEnabled, false);
    assertEquals(logger.entries.map(({ level, message }) => [level, message]), [
      ["error", "conversation sync disabled"],
    ]);
    assert(!JSON.stringify(logger.entries).includes("two"));
    const error = assertThrows(
      () => new ConversationStateService({ ...options, env: {}, logger, throwOnError: true }),
      ConversationSyncError,
    );
    assertEquals(error.kind, "invalid_configuration");
  }
});

Deno.test("a setting that says nothing is named in the log", () => {
  const logger = recordingLogger();
  const service = new ConversationStateService({
    ...{ apiBaseUrl: "https://example.com", apiKey: KEY, logger },
    env: { CONVERSATION_API_TIMEOUT: "ten" },
  });
  assertEquals(service.isEnabled, true);
  assertEquals(logger.entries, [{
    level: "warn",
    message: "conversation sync setting ignored",
    fields: { variable: "CONVERSATION_API_TIMEOUT" },
  }]);
});
