/**
 * `deno task openapi`: writes `supabase/functions/_shared/openapi.json`, which conversation-sync serves.
 *
 * @module
 */
import { createOpenApi, OPENAPI_PATH } from "./openapi_document.ts";

await Deno.writeTextFile(OPENAPI_PATH, `${JSON.stringify(createOpenApi(), null, 2)}\n`);
