/**
 * The answers of the API. In the npm package, `build.ts` puts the contract itself in place of this file.
 *
 * @module
 */
export * from "../../../supabase/functions/_shared/contracts/conversation_sync/answers.ts";
