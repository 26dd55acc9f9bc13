/**
 * A fake AI endpoint: OpenAI's `POST /v1/chat/completions` over HTTP, with the answers that a test sets.
 *
 * @module
 */

/** A request as it arrived. */
export interface LlmRequest {
  authorization: string | null;
  // deno-lint-ignore no-explicit-any -- JSON of a request, checked by the test that gets it.
  body: any;
  /** The texts of all messages of the prompt. */
  prompt: string;
}

/** How a request is answered. */
export type LlmReply =
  /** The content of the answer. */
  | { kind: "content"; content: string; tokens?: number }
  /** A status with a body. */
  | { kind: "status"; status: number; body?: string; headers?: Record<string, string> }
  /** 200 with a body that is no completion. */
  | { kind: "raw"; body: string }
  /** 200, and then bytes without end. */
  | { kind: "endless" }
  /** No answer, until the fake is stopped or released. */
  | { kind: "silent" };

/** A running fake. Stops when it is disposed of. */
export interface FakeLlm extends AsyncDisposable {
  /** Base URL, with `/v1`. */
  url: string;
  /** Requests, in order. */
  requests: LlmRequest[];
  /** How later requests are answered. */
  reply: (request: LlmRequest) => LlmReply;
  /** Releases the requests without an answer. */
  release(): void;
}

/** The answer of a model that follows its instructions. */
export function summary(text: string, openQuestion = false, tokens?: number): LlmReply {
  return {
    kind: "content",
    content: JSON.stringify({ summary: text, open_question: openQuestion }),
    ...(tokens === undefined ? {} : { tokens }),
  };
}

/** Starts a fake. */
export function startFakeLlm(): FakeLlm {
  let released = Promise.withResolvers<void>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (given) => {
      if (new URL(given.url).pathname !== "/v1/chat/completions") {
        return new Response("not here", { status: 404 });
      }
      const body = await given.json();
      const request: LlmRequest = {
        authorization: given.headers.get("authorization"),
        body,
        prompt: body.messages.map(({ content }: { content: string }) => content).join("\n"),
      };
      fake.requests.push(request);
      return await answer(fake.reply(request));
    },
  );

  async function answer(reply: LlmReply): Promise<Response> {
    switch (reply.kind) {
      case "content":
        return Response.json({
          id: "chatcmpl-1",
          object: "chat.completion",
          choices: [{
            index: 0,
            message: { role: "assistant", content: reply.content },
            finish_reason: "stop",
          }],
          ...(reply.tokens === undefined ? {} : { usage: { total_tokens: reply.tokens } }),
        });
      case "status":
        return new Response(reply.body ?? "{}", {
          status: reply.status,
          ...(reply.headers === undefined ? {} : { headers: reply.headers }),
        });
      case "raw":
        return new Response(reply.body);
      case "endless": {
        const chunk = new TextEncoder().encode(" ".repeat(64 * 1024));
        return new Response(
          new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }),
        );
      }
      case "silent":
        await released.promise;
        return new Response(null, { status: 503 });
    }
  }

  const fake: FakeLlm = {
    url: `http://127.0.0.1:${server.addr.port}/v1`,
    requests: [],
    reply: () => summary("The customer wrote."),
    release() {
      released.resolve();
      released = Promise.withResolvers();
    },
    async [Symbol.asyncDispose]() {
      fake.release();
      await server.shutdown();
    },
  };
  return fake;
}
