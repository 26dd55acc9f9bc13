/**
 * supabase/config.toml names every function, and lets each check its callers itself (docs/adr/0018).
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { parse } from "smol-toml";

const SUPABASE = new URL("../../supabase/", import.meta.url);

Deno.test("config.toml has every function, without the JWT check of the gateway", async () => {
  const { functions } = parse(await Deno.readTextFile(new URL("config.toml", SUPABASE)));
  const folders = Array.from(Deno.readDirSync(new URL("functions", SUPABASE)))
    .filter(({ isDirectory, name }) => isDirectory && name !== "_shared")
    .map(({ name }) => name)
    .sort();
  assertEquals(
    Object.entries(functions as Record<string, { verify_jwt?: boolean }>)
      .map(([name, { verify_jwt }]) => [name, verify_jwt])
      .sort(),
    folders.map((name) => [name, false]),
  );
});
