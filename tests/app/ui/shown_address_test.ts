/**
 * Addresses in messages are shown so that none can pass for another.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { shownAddress } from "../../../app/src/ui/shown_address.ts";

function shown(written: string): string {
  return shownAddress(written, new URL(written));
}

Deno.test("an address that could pass for another is shown in ASCII", () => {
  const cases: [written: string, expected: string][] = [
    // Cyrillic letters in a Latin name.
    ["https://pаypal.com/login?x=1#y", "https://xn--pypal-4ve.com/login?x=1#y"],
    ["https://www.gооgle.com", "https://www.xn--ggle-55da.com"],
    ["http://exаmple.com:8080/a", "http://xn--exmple-4nf.com:8080/a"],
    // A whole name that looks Latin: apple and epic in Cyrillic, one in Greek.
    ["https://аррӏе.com/", "https://xn--80ak6aa92e.com/"],
    ["https://еріс.com", "https://xn--e1awd7f.com"],
    ["https://ονε.com", "https://xn--qxapf.com"],
    // Small capitals, and a script that names are not written in.
    ["https://ɢoogle.com", "https://xn--oogle-wmc.com"],
    ["https://ꭰꭱ.com", new URL("https://ꭰꭱ.com").href.slice(0, -1)],
    // The host stands behind the @.
    ["https://bank.example@evil.example/a", "https://evil.example/a"],
    ["https://bank.example:443@evil.example:81/a", "https://evil.example:81/a"],
  ];
  for (const [written, expected] of cases) assertEquals(shown(written), expected, written);
});

Deno.test("any other address is shown as it was written", () => {
  for (
    const written of [
      "https://example.com/Path?q=ä#ö",
      "HTTPS://Example.COM",
      "https://münchen.de/straße",
      "https://café.fr",
      "https://президент.рф",
      "https://россия.рф/о/нас",
      "https://новости.com",
      "https://москва.com",
      "https://ελλάδα.gr",
      "https://日本語テスト.jp",
      "https://例え.テスト",
      "https://한국.kr",
      "https://ไทย.com",
      "https://مثال.إختبار",
      "https://उदाहरण.परीक्षा",
      "https://xn--80ak6aa92e.com",
      "http://127.0.0.1:54321/x",
      "https://[::1]:80/x",
      "https://example.com/pаypal",
    ]
  ) assertEquals(shown(written), written);
});
