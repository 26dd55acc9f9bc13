/**
 * Which person a conversation belongs to: numbers as people type them in many countries, identities of
 * the platforms, doubtful cases, and conversations that wait for a person.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  getCountries,
  getCountryCallingCode,
  isValidPhoneNumber,
  Metadata,
  parsePhoneNumberWithError,
} from "libphonenumber-js/max";
import { generatePhoneData, PHONE_DATA_PATH } from "../../cli/phone_data.ts";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import { phoneDigits } from "../../supabase/functions/_shared/phone/digits.ts";
import { connect, useDatabase } from "../support/database.ts";
import { conversation, ingest, ingestOne, readConversation } from "../support/messages.ts";
import { Random } from "../support/messages_model.ts";
import {
  addIdentity,
  addPerson,
  type Connection,
  createConnection,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

const PLATFORMS = ["whatsapp", "signal", "telegram", "wechat"];

async function workspaceIn(
  country: string | null,
): Promise<{ workspace: Workspace; on: Record<string, Connection> }> {
  const workspace = await createWorkspace(database.sql, { defaultCountry: country });
  const on: Record<string, Connection> = {};
  for (const platform of PLATFORMS) {
    on[platform] = await createConnection(database.sql, workspace, { platform });
  }
  return { workspace, on };
}

async function match(
  { id }: Workspace,
  platform: string,
  identifier: string,
): Promise<string | null> {
  const [row] = await database.service<{ person: string | null }[]>`
    select private.match_person(${id}, ${platform}, ${identifier}) as person`;
  return row!.person;
}

// Numbers ---------------------------------------------------------------------------------------

interface NumberCase {
  /** Country of the workspace. */
  country: string | null;
  /** The person's number, as a member typed it. */
  phone: string;
  /** Identifiers on WhatsApp that are this person. */
  same?: string[];
  /** Identifiers that are not, or cannot be told. */
  other?: string[];
}

const NUMBERS: Record<string, NumberCase[]> = {
  "Brazil": [
    {
      country: "BR",
      phone: "+55 11 98888-7777",
      same: [
        "5511988887777@s.whatsapp.net",
        "5511988887777:12@s.whatsapp.net",
        "551188887777@s.whatsapp.net",
        "+55 (11) 98888-7777",
        "+5511988887777",
        "005511988887777",
      ],
      // Another area, and other numbers that look alike.
      other: ["5521988887777", "5511988887778", "551138887777", "5511998888777"],
    },
    { country: "BR", phone: "(11) 98888-7777", same: ["5511988887777", "551188887777"] },
    { country: "BR", phone: "011 98888-7777", same: ["5511988887777", "551188887777"] },
    { country: "BR", phone: "(11) 8888-7777", same: ["5511988887777", "551188887777"] },
    { country: null, phone: "+55 11 8888-7777", same: ["5511988887777", "551188887777"] },
    // A landline never has the ninth digit.
    {
      country: "BR",
      phone: "+55 11 3333-4444",
      same: ["551133334444"],
      other: ["5511933334444"],
    },
    { country: "BR", phone: "(11) 3333-4444", same: ["551133334444"], other: ["5511933334444"] },
    { country: "BR", phone: "+55 11 93333-4444", other: ["551133334444"] },
  ],
  "Mexico": [
    {
      country: "MX",
      phone: "+52 55 1234 5678",
      same: ["5215512345678@s.whatsapp.net", "525512345678"],
      other: ["5215512345679"],
    },
    { country: "MX", phone: "+52 1 55 1234 5678", same: ["525512345678", "5215512345678"] },
    { country: "MX", phone: "55 1234 5678", same: ["5215512345678", "525512345678"] },
    { country: "MX", phone: "044 55 1234 5678", same: ["5215512345678"] },
    { country: null, phone: "+52 1 55 1234 5678", same: ["525512345678"] },
  ],
  "Argentina": [
    {
      country: "AR",
      phone: "+54 9 11 1234-5678",
      same: ["5491112345678@s.whatsapp.net", "541112345678"],
      other: ["5491112345679"],
    },
    { country: "AR", phone: "+54 11 1234-5678", same: ["5491112345678"] },
    { country: "AR", phone: "011 15-1234-5678", same: ["5491112345678"] },
    { country: "AR", phone: "11 15 1234 5678", same: ["5491112345678"] },
    { country: "AR", phone: "(0341) 15-555-1234", same: ["5493415551234"] },
    { country: "AR", phone: "(0341) 555-1234", same: ["5493415551234", "543415551234"] },
    { country: "AR", phone: "(02954) 15-123456", same: ["5492954123456"] },
    { country: null, phone: "+54 11 15-1234-5678", same: ["5491112345678"] },
    // Without its area code it could be anybody's.
    { country: "AR", phone: "15-1234-5678", other: ["5493415551234", "5491187654321"] },
  ],
  "Indonesia": [
    {
      country: "ID",
      phone: "0812-3456-7890",
      same: ["6281234567890@s.whatsapp.net", "+62 812-3456-7890", "081234567890", "81234567890"],
      other: ["6281234567891", "081234567891"],
    },
    { country: "ID", phone: "+62 812 3456 7890", same: ["081234567890", "6281234567890"] },
    { country: "ID", phone: "62812 3456 7890", same: ["081234567890", "6281234567890"] },
    { country: "ID", phone: "+62 (0)812 3456 7890", same: ["6281234567890"] },
    // Ten digits at home: the last ten of the international number are others.
    { country: "ID", phone: "0811 234 567", same: ["62811234567"] },
    { country: null, phone: "0811 234 567", other: ["62811234567"] },
    { country: "ID", phone: "(021) 345 6789", same: ["62213456789"] },
  ],
  "United States and Canada": [
    {
      country: "US",
      phone: "(415) 555-2671",
      same: ["14155552671", "+1 415-555-2671", "4155552671"],
      other: ["14155552672", "14255552671"],
    },
    { country: "US", phone: "1-415-555-2671", same: ["14155552671", "4155552671"] },
    { country: "CA", phone: "+1 604 555 0123", same: ["16045550123", "6045550123"] },
    { country: null, phone: "415.555.2671", same: ["14155552671"] },
    { country: "US", phone: "555-2671", other: ["14155552671"] },
  ],
  "United Kingdom": [
    { country: "GB", phone: "07911 123456", same: ["447911123456", "+44 7911 123456"] },
    { country: "GB", phone: "+44 (0)7911 123456", same: ["447911123456", "07911123456"] },
    { country: "GB", phone: "0044 7911 123456", same: ["447911123456"] },
    { country: "GB", phone: "+44 7911 123456", same: ["07911123456", "+44 (0)7911 123456"] },
    { country: "GB", phone: "020 7946 0018", same: ["442079460018"], other: ["442079460019"] },
    { country: null, phone: "07700 900123", same: ["447700900123"] },
    { country: null, phone: "+44 (0)7911 123456", same: ["447911123456"] },
  ],
  "France": [
    { country: "FR", phone: "06 12 34 56 78", same: ["33612345678"], other: ["33712345678"] },
    { country: "FR", phone: "+33 (0)6 12 34 56 78", same: ["33612345678"] },
    { country: "FR", phone: "+33 6 12 34 56 78", same: ["0612345678"] },
    // Another country's workspace cannot know.
    { country: null, phone: "06 12 34 56 78", other: ["33612345678"] },
    { country: "BE", phone: "06 12 34 56 78", other: ["33612345678"] },
  ],
  "Germany": [
    { country: "DE", phone: "0151 23456789", same: ["4915123456789"], other: ["4916123456789"] },
    { country: "DE", phone: "+49 (0) 151/234 567 89", same: ["4915123456789"] },
    { country: "DE", phone: "030 901820", same: ["4930901820"] },
  ],
  "Spain": [
    { country: "ES", phone: "612 34 56 78", same: ["34612345678", "+34 612 345 678"] },
    { country: "ES", phone: "+34 612 34 56 78", same: ["612345678"], other: ["612345679"] },
  ],
  "Italy, where a zero belongs to the number": [
    { country: "IT", phone: "347 123 4567", same: ["393471234567"] },
    { country: "IT", phone: "06 1234 5678", same: ["390612345678"], other: ["39612345678"] },
    { country: "IT", phone: "6 1234 5678", other: ["390612345678"] },
  ],
  "India": [
    {
      country: "IN",
      phone: "098765 43210",
      same: ["919876543210", "+91 98765-43210", "9876543210"],
    },
    { country: "IN", phone: "98765 43210", same: ["919876543210"], other: ["918876543210"] },
  ],
  "Nigeria": [
    { country: "NG", phone: "0803 123 4567", same: ["2348031234567"], other: ["2348041234567"] },
    { country: "NG", phone: "+234 (0)803 123 4567", same: ["2348031234567"] },
  ],
  "Australia": [
    { country: "AU", phone: "0412 345 678", same: ["61412345678"] },
    { country: "AU", phone: "(02) 9374 4000", same: ["61293744000"], other: ["61393744000"] },
  ],
  "Japan": [
    { country: "JP", phone: "090-1234-5678", same: ["819012345678"], other: ["818012345678"] },
  ],
  "Hungary, where one dials 06": [
    { country: "HU", phone: "06 20 123 4567", same: ["36201234567", "+36 20 123 4567"] },
    { country: "HU", phone: "+36 20 123 4567", same: ["06201234567"] },
  ],
  "Russia and Kazakhstan, where one dials 8": [
    { country: "RU", phone: "8 (912) 345-67-89", same: ["79123456789"] },
    { country: "RU", phone: "+7 912 345-67-89", same: ["89123456789", "79123456789"] },
    { country: "KZ", phone: "8 701 234 5678", same: ["77012345678"] },
  ],
  "Singapore": [
    { country: "SG", phone: "9123 4567", same: ["6591234567"], other: ["6281291234567"] },
    { country: "SG", phone: "+65 9123 4567", same: ["91234567"], other: ["91234568"] },
  ],
  "China, South Africa and the Emirates": [
    { country: "CN", phone: "138 1234 5678", same: ["8613812345678"] },
    { country: "ZA", phone: "082 123 4567", same: ["27821234567"] },
    { country: "AE", phone: "050 123 4567", same: ["971501234567"] },
  ],
  "extensions, labels and digits of other scripts": [
    { country: "US", phone: "+1 (415) 555-2671 x12", same: ["14155552671", "4155552671"] },
    {
      country: "US",
      phone: "415.555.2671 ext. 12",
      same: ["14155552671"],
      other: ["415555267112"],
    },
    { country: "US", phone: "tel:+1-415-555-2671;ext=12", same: ["14155552671"] },
    { country: "US", phone: "(415) 555-2671, extension 1234#", same: ["14155552671"] },
    { country: "US", phone: "4155552671,,12", same: ["14155552671"] },
    { country: "RU", phone: "8 (912) 345-67-89 доб. 5", same: ["79123456789"] },
    {
      country: "US",
      phone: "+1 415 555 2671",
      same: ["tel:+1-415-555-2671;ext=12", "4155552671x12"],
    },
    { country: "ID", phone: "+62 812 3456 7890 (WA)", same: ["6281234567890"] },
    { country: "ID", phone: "Telp.0812-3456-7890", same: ["6281234567890"] },
    { country: "ID", phone: "https://wa.me/6281234567890", same: ["6281234567890"] },
    { country: "SA", phone: "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", same: ["966501234567"] },
    { country: "SA", phone: "٠٥٠١٢٣٤٥٦٧", same: ["966501234567", "٠٥٠١٢٣٤٥٦٧"] },
    { country: "IR", phone: "۰۹۱۲ ۳۴۵ ۶۷۸۹", same: ["989123456789"] },
    { country: "IN", phone: "९८७६५ ४३२१०", same: ["919876543210"] },
    { country: "JP", phone: "０９０－１２３４－５６７８", same: ["819012345678"] },
    { country: "TH", phone: "๐๘๑ ๒๓๔ ๕๖๗๘", same: ["66812345678"] },
  ],
  "two numbers in one field": [
    {
      country: "ID",
      phone: "0812 3456 7890 / 0813 1111 2222",
      same: ["6281234567890", "6281311112222", "081311112222"],
      other: ["6281311112223", "0812345678900813"],
    },
    {
      country: "ID",
      phone: "+6281234567890, +6281311112222",
      same: ["6281234567890", "6281311112222"],
    },
    { country: "ID", phone: "+62 812 3456 7890+62 813 1111 2222", same: ["6281311112222"] },
    { country: "ID", phone: "081234567890 081311112222", same: ["6281234567890", "6281311112222"] },
    {
      country: "ID",
      phone: "0812 3456 7890\n0813 1111 2222",
      same: ["6281234567890", "6281311112222"],
    },
    {
      country: "ID",
      phone: "HP 081234567890, rumah 0213456789",
      same: ["6281234567890", "62213456789"],
    },
    {
      country: "US",
      phone: "415-555-2671 x1; 510-555-2672 x2",
      same: ["14155552671", "15105552672"],
    },
    // The second number without its country code, by its last ten digits.
    {
      country: null,
      phone: "+44 7911 123456 / 07700 900123",
      same: ["447911123456", "447700900123"],
    },
    {
      country: "BR",
      phone: "(11) 98888-7777 / (21) 98888-6666",
      same: ["551188887777", "552188886666"],
    },
    // A slash inside a number.
    { country: "DE", phone: "+49 (0) 151/234 567 89", same: ["4915123456789"] },
    { country: "DE", phone: "0049 3301/1234567", same: ["4933011234567"], other: ["1234567"] },
  ],
  "vanity numbers, whose letters are letters": [
    { country: "US", phone: "1-800-FLOWERS", other: ["1800", "18003569377", "1-800-FLOWERS"] },
    { country: "US", phone: "1-800-555-TELL", other: ["1800555", "1800555@s.whatsapp.net"] },
  ],
  "addresses of WhatsApp in every form": [
    {
      country: "ID",
      phone: "+62 812 3456 7890",
      same: [
        "6281234567890@hosted",
        "6281234567890@S.WHATSAPP.NET",
        "6281234567890@C.US",
        "6281234567890.0:7@s.whatsapp.net",
        "6281234567890_1:7@s.whatsapp.net",
        "6281234567890:99@hosted",
        " 6281234567890:7@s.whatsapp.net ",
        "WhatsApp:+62 812 3456 7890",
      ],
      other: [
        "6281234567890@hosted.lid",
        "6281234567890@LID",
        "6281234567890@G.US",
        "bsuid:6281234567890",
        "group:6281234567890",
        "conversation:6281234567890",
      ],
    },
  ],
  "Ivory Coast, renumbered in 2021": [
    {
      country: "CI",
      phone: "+225 07 08 12 34 56",
      same: ["22508123456", "0708123456"],
      other: ["2250508123456", "2250108123456"],
    },
    { country: "CI", phone: "08 12 34 56", same: ["2250708123456"], other: ["2250508123456"] },
    { country: null, phone: "+225 45 12 34 56", same: ["2250545123456"], other: ["2250745123456"] },
    { country: "CI", phone: "+225 05 45 12 34 56", same: ["22545123456"] },
    { country: "CI", phone: "+225 01 02 12 34 56", same: ["22502123456", "0102123456"] },
    { country: "CI", phone: "+225 20 21 22 23", same: ["2252720212223"], other: ["2252520212223"] },
    { country: "CI", phone: "+225 22 00 22 23", same: ["2252522002223"] },
    { country: "CI", phone: "+225 22 80 22 23", same: ["2252122802223"] },
  ],
  "Benin, renumbered in 2024": [
    { country: "BJ", phone: "+229 97 12 34 56", same: ["2290197123456"], other: ["2290297123456"] },
    { country: "BJ", phone: "01 97 12 34 56", same: ["22997123456", "2290197123456"] },
    { country: "BJ", phone: "97 12 34 56", same: ["2290197123456", "0197123456"] },
    { country: null, phone: "+229 01 97 12 34 56", same: ["22997123456"] },
  ],
  "other countries that were renumbered": [
    { country: "CM", phone: "+237 77 12 34 56", same: ["237677123456"], other: ["237277123456"] },
    { country: "CM", phone: "+237 2 22 12 34 56", same: ["23722123456"] },
    { country: "GA", phone: "+241 07 12 34 56", same: ["24177123456"], other: ["24167123456"] },
    { country: "GA", phone: "+241 62 12 34 56", same: ["2412123456", "24102123456"] },
    { country: "GM", phone: "+220 7012345", same: ["220877012345"] },
    { country: "VN", phone: "0162 345 6789", same: ["84323456789"], other: ["84333456789"] },
    { country: "VN", phone: "+84 70 123 4567", same: ["841201234567"] },
    { country: "CO", phone: "+57 1 234 5678", same: ["576012345678"] },
  ],
  "numbers of another country than the workspace's": [
    { country: "ID", phone: "+55 11 98888-7777", same: ["551188887777", "5511988887777"] },
    { country: "ID", phone: "+1 415 555 2671", same: ["14155552671"] },
    // Complete numbers of two countries whose last ten digits are the same.
    { country: "ID", phone: "+1 781 234 5678", other: ["447812345678"] },
  ],
};

for (const [name, cases] of Object.entries(NUMBERS)) {
  Deno.test(`numbers: ${name}`, async (t) => {
    const { sql, service } = database;
    const places = new Map<string | null, Awaited<ReturnType<typeof workspaceIn>>>();
    for (const { country, phone, same = [], other = [] } of cases) {
      if (!places.has(country)) places.set(country, await workspaceIn(country));
      const { workspace, on } = places.get(country)!;
      await t.step(`${phone} in ${country}`, async () => {
        const expected: Record<string, boolean> = {};
        const matched: Record<string, boolean> = {};
        const adopted: Record<string, boolean> = {};
        // The conversation first, and the person while it waits; then the person first.
        const waiting = new Map<string, string>();
        for (const identifier of [...same, ...other]) {
          expected[identifier] = same.includes(identifier);
          waiting.set(
            identifier,
            await ingestOne(
              service,
              on.whatsapp!,
              conversation({ participant_identifier: identifier }),
            ),
          );
        }
        const personId = await addPerson(sql, workspace, { phone });
        for (const [identifier, id] of waiting) {
          adopted[identifier] = (await readConversation(sql, id)).person_id === personId;
          matched[identifier] = await match(workspace, "whatsapp", identifier) === personId;
        }
        await sql`delete from public.people where id = ${personId}`;
        await sql`delete from public.conversations where workspace_id = ${workspace.id}`;
        assertEquals(matched, expected, "when the message comes after the person");
        assertEquals(adopted, expected, "when the person comes after the message");
      });
    }
  });
}

Deno.test("identifiers that are no phone number never match one", async (t) => {
  const { workspace } = await workspaceIn("ID");
  const personId = await addPerson(database.sql, workspace, { phone: "+62 812 3456 7890" });
  const cases: [platform: string, identifier: string, isPhone: boolean][] = [
    ["whatsapp", "6281234567890@s.whatsapp.net", true],
    ["whatsapp", "6281234567890@c.us", true],
    ["whatsapp", "6281234567890:3@s.whatsapp.net", true],
    ["whatsapp", "whatsapp:+6281234567890", true],
    ["whatsapp", "\u202a+62 812\u20113456\u20117890\u202c", true],
    ["whatsapp", "tel:+62-812-3456-7890", true],
    ["whatsapp", "6281234567890@lid", false],
    ["whatsapp", "6281234567890@g.us", false],
    ["whatsapp", "6281234567890-1612345678@g.us", false],
    ["whatsapp", "6281234567890@newsletter", false],
    ["whatsapp", "6281234567890@broadcast", false],
    ["whatsapp", "user6281234567890", false],
    ["whatsapp", "", false],
    ["signal", "+6281234567890", true],
    ["signal", "6281234567890", true],
    ["signal", "6281234567890@s.whatsapp.net", false],
    ["telegram", "6281234567890", false],
    ["telegram", "1234567890", false],
    ["telegram", "@6281234567890", false],
    ["telegram", "+6281234567890", true],
    ["telegram", "+62 812 3456 7890", true],
    ["wechat", "6281234567890", false],
    ["wechat", "+6281234567890", true],
    ["wechat", "wxid_6281234567890", false],
  ];
  for (const [platform, identifier, isPhone] of cases) {
    await t.step(`${platform} ${identifier}`, async () => {
      assertEquals(await match(workspace, platform, identifier), isPhone ? personId : null);
    });
  }
});

Deno.test("identities are compared as their platform compares them", async (t) => {
  const { sql } = database;
  const { workspace } = await workspaceIn(null);
  const uuid = crypto.randomUUID();
  const cases: [platform: string, known: string, same: string[], other: string[]][] = [
    ["telegram", "@JohnDoe", ["johndoe", "@JOHNDOE", " @johndoe "], ["johndoe2", "john doe"]],
    ["telegram", "987654321", ["987654321"], ["+987654321", "98765432"]],
    ["signal", uuid, [uuid.toUpperCase(), ` ${uuid}`], [crypto.randomUUID()]],
    ["wechat", "oAbC_123", ["oAbC_123", " oAbC_123"], ["oabc_123", "OABC_123"]],
    ["whatsapp", "123456789012345@lid", ["123456789012345@LID"], [
      "123456789012345",
      "123456789012345@s.whatsapp.net",
    ]],
    ["whatsapp", "US.1234567890", ["us.1234567890"], ["US.1234567891"]],
    ["whatsapp", "+62 813-1111-2222", ["6281311112222@s.whatsapp.net"], ["6281311112222@lid"]],
  ];
  for (const [platform, known, same, other] of cases) {
    await t.step(`${platform} ${known}`, async () => {
      const personId = await addPerson(sql, workspace);
      await addIdentity(sql, workspace, personId, platform, known);
      for (const identifier of same) {
        assertEquals(await match(workspace, platform, identifier), personId, identifier);
      }
      for (const identifier of other) {
        assertEquals(await match(workspace, platform, identifier), null, identifier);
      }
      for (const elsewhere of PLATFORMS.filter((each) => each !== platform)) {
        assertEquals(await match(workspace, elsewhere, known), null, elsewhere);
      }
      await sql`delete from public.people where id = ${personId}`;
    });
  }
});

Deno.test("the narrower rule wins, and an ambiguous one ends the search", async (t) => {
  const { sql } = database;
  const { workspace } = await workspaceIn("ID");
  const people: string[] = [];
  const add = async (phone: string | null) => {
    const id = await addPerson(sql, workspace, { phone });
    people.push(id);
    return id;
  };
  const step = (name: string, work: () => Promise<void>) =>
    t.step(name, async () => {
      await work();
      await sql`delete from public.people where id = any (${people.splice(0)})`;
    });

  await step("identity before number", async () => {
    await add("+6281234567890");
    const known = await add(null);
    await addIdentity(sql, workspace, known, "whatsapp", "6281234567890");
    assertEquals(await match(workspace, "whatsapp", "+6281234567890"), known);
  });
  await step("the exact number before its spellings", async () => {
    await add("081234567890");
    const exact = await add("+6281234567890");
    assertEquals(await match(workspace, "whatsapp", "+6281234567890"), exact);
  });
  await step("a spelling before the last ten digits", async () => {
    const spelled = await add("081234567890");
    await add("+9981234567890");
    assertEquals(await match(workspace, "whatsapp", "6281234567890"), spelled);
  });
  await step("two spellings of one number are two people: no match", async () => {
    await add("081234567890");
    await add("0062 812 3456 7890");
    assertEquals(await match(workspace, "whatsapp", "6281234567890"), null);
  });
  await step("two people by the last ten digits: no match", async () => {
    await add("1234567890");
    await add("(0) 1234567890");
    assertEquals(await match(workspace, "whatsapp", "+44 1234567890"), null);
  });
  await step("two by the last ten, one by variant: still no match", async () => {
    await add("1988887777");
    await add("(0) 1988887777");
    await add("+551188887777");
    assertEquals(await match(workspace, "whatsapp", "5511988887777"), null);
  });
  await step("the last ten digits, where exactly one has them", async () => {
    const only = await add("7700 900123");
    assertEquals(await match(workspace, "whatsapp", "+447700900123"), only);
  });
});

Deno.test("an ambiguous conversation waits until one person is left", async () => {
  const { sql, service } = database;
  const { workspace, on } = await workspaceIn("ID");
  const first = await addPerson(sql, workspace, { phone: "081234567890" });
  const second = await addPerson(sql, workspace, { phone: "0062 812 3456 7890" });
  const target = conversation({ participant_identifier: "6281234567890" });
  const id = await ingestOne(service, on.whatsapp!, target);
  assertEquals((await readConversation(sql, id)).person_id, null);
  await sql`delete from public.people where id = ${second}`;
  await ingest(service, on.whatsapp!, [target]);
  assertEquals((await readConversation(sql, id)).person_id, first);
});

Deno.test("no person of another workspace is ever matched or adopts", async () => {
  const { sql, service } = database;
  const mine = await workspaceIn("ID");
  const theirs = await workspaceIn("ID");
  const number = uniqueNumber();
  const local = `0${number.slice(3)}`;
  const name = unique("u");
  const personId = await addPerson(sql, theirs.workspace, { phone: number });
  await addIdentity(sql, theirs.workspace, personId, "telegram", name);
  for (
    const [platform, identifier] of [
      ["whatsapp", number],
      ["whatsapp", local],
      ["signal", number],
      ["telegram", name],
    ] as const
  ) {
    assertEquals(await match(theirs.workspace, platform, identifier), personId);
    assertEquals(await match(mine.workspace, platform, identifier), null);
  }
  const id = await ingestOne(
    service,
    mine.on.whatsapp!,
    conversation({ participant_identifier: number }),
  );
  await addPerson(sql, theirs.workspace, { phone: local });
  await addIdentity(sql, theirs.workspace, personId, "whatsapp", number);
  assertEquals((await readConversation(sql, id)).person_id, null);
});

// Waiting conversations -------------------------------------------------------------------------

Deno.test("a person adopts what waited: added, renumbered, and with a new identity", async (t) => {
  const { sql, service } = database;
  const { workspace, on } = await workspaceIn("ID");
  const personOf = async (id: string) => (await readConversation(sql, id)).person_id;
  const asAgent = <T>(work: Parameters<typeof database.as<T>>[1]) =>
    database.as({ userId: workspace.agent }, work);

  await t.step("added by a member, on every platform that gives the number", async () => {
    const number = uniqueNumber();
    const ids: string[] = [];
    for (const platform of ["whatsapp", "signal", "telegram"]) {
      ids.push(
        await ingestOne(
          service,
          on[platform]!,
          conversation({
            participant_identifier: number,
            messages: [{
              id: "1",
              direction: "inbound",
              type: "text",
              content: "Hi",
              media_url: null,
              sent_at: "2026-03-01T00:00:00.000Z",
            }],
          }),
        ),
      );
    }
    const [person] = await asAgent((member) =>
      member<{ id: string }[]>`
        insert into public.people (workspace_id, name, phone)
        values (${workspace.id}, 'Ani', ${`0${number.slice(3)}`}) returning id`
    );
    for (const id of ids) assertEquals(await personOf(id), person!.id);
    const [row] = await sql`select last_activity_at from public.people where id = ${person!.id}`;
    assertEquals(row!.last_activity_at, new Date("2026-03-01T00:00:00Z"));
  });

  await t.step("renumbered; what they had stays theirs", async () => {
    const [before, after] = [uniqueNumber(), uniqueNumber()];
    const personId = await addPerson(sql, workspace, { phone: before });
    const old = conversation({ participant_identifier: before });
    const oldId = await ingestOne(service, on.whatsapp!, old);
    const newId = await ingestOne(
      service,
      on.whatsapp!,
      conversation({ participant_identifier: after }),
    );
    assertEquals([await personOf(oldId), await personOf(newId)], [personId, null]);
    await asAgent(async (member) => {
      await member`update public.people set phone = ${after} where id = ${personId}`;
    });
    assertEquals([await personOf(oldId), await personOf(newId)], [personId, personId]);
    await ingest(service, on.whatsapp!, [old]);
    assertEquals(await personOf(oldId), personId);
  });

  await t.step("given a username", async () => {
    const name = unique("u");
    const id = await ingestOne(
      service,
      on.telegram!,
      conversation({ participant_identifier: `@${name.toUpperCase()}` }),
    );
    const personId = await addPerson(sql, workspace);
    await asAgent((member) => addIdentity(member, workspace, personId, "telegram", name));
    assertEquals(await personOf(id), personId);
  });

  await t.step("given a second number as an identity", async () => {
    const number = uniqueNumber();
    const id = await ingestOne(
      service,
      on.whatsapp!,
      conversation({ participant_identifier: `${number.slice(1)}@s.whatsapp.net` }),
    );
    const personId = await addPerson(sql, workspace, { phone: uniqueNumber() });
    await addIdentity(sql, workspace, personId, "whatsapp", number);
    assertEquals(await personOf(id), personId);
  });

  await t.step("nothing is taken from a person who has it", async () => {
    const number = uniqueNumber();
    const first = await addPerson(sql, workspace, { phone: `0${number.slice(3)}` });
    const id = await ingestOne(
      service,
      on.whatsapp!,
      conversation({ participant_identifier: number }),
    );
    const second = await addPerson(sql, workspace, { phone: number });
    await addIdentity(sql, workspace, second, "whatsapp", number);
    assertEquals(await personOf(id), first);
  });

  await t.step("a person without number or digits adopts nothing", async () => {
    const id = await ingestOne(
      service,
      on.whatsapp!,
      conversation({ participant_identifier: "someone" }),
    );
    await addPerson(sql, workspace, { phone: "" });
    await addPerson(sql, workspace, { phone: "ask her" });
    await addPerson(sql, workspace, { phone: null });
    assertEquals(await personOf(id), null);
  });

  await t.step("a person who is deleted leaves the conversation", async () => {
    const number = uniqueNumber();
    const personId = await addPerson(sql, workspace, { phone: number });
    const id = await ingestOne(
      service,
      on.whatsapp!,
      conversation({ participant_identifier: number }),
    );
    assertEquals(await personOf(id), personId);
    await sql`delete from public.people where id = ${personId}`;
    assertEquals(await personOf(id), null);
  });
});

Deno.test("one number is one person, however it is typed", async () => {
  const { sql } = database;
  const { workspace } = await workspaceIn("ID");
  await addPerson(sql, workspace, { phone: "+62 812-3456-7890" });
  const { code } = await database.attempt(
    { userId: workspace.agent },
    async (member) =>
      await member`
        insert into public.people (workspace_id, name, phone)
        values (${workspace.id}, 'Again', '(62) 812 3456 7890')`,
  );
  assertEquals(code, "23505");
});

Deno.test("extensions and vanity numbers are people of their own", async () => {
  const { sql } = database;
  const { workspace } = await workspaceIn("US");
  const add = async (phone: string) => {
    const { code } = await database.attempt(
      { userId: workspace.agent },
      async (member) =>
        await member`
          insert into public.people (workspace_id, name, phone) values (${workspace.id}, 'Ani', ${phone})`,
    );
    if (code === undefined) await addPerson(sql, workspace, { phone });
    return code;
  };
  for (
    const phone of [
      "1-800-CONTACTS",
      "1-800-FLOWERS",
      "+1 415 555 2671 x12",
      "+1 415 555 2671 x13",
      "+1 415 555 2671",
      "ask her",
      "unknown",
      "unknown",
      "+1 415 555 2671 / +1 510 555 2672",
    ]
  ) assertEquals(await add(phone), undefined, phone);
  for (
    const again of [
      "1 800 contacts",
      "1 (415) 555-2671 ext. 12",
      "1.415.555.2671",
      "+1 (415) 555-2671, +1 (510) 555-2672",
    ]
  ) assertEquals(await add(again), "23505", again);
  // The number alone is its own person; one of two extensions cannot be told from the other.
  const [alone] = await sql`
    select id from public.people where workspace_id = ${workspace.id} and phone = '+1 415 555 2671'`;
  assertEquals(await match(workspace, "whatsapp", "14155552671"), alone!.id);
  await sql`delete from public.people where id = ${alone!.id}`;
  assertEquals(await match(workspace, "whatsapp", "14155552671"), null);
});

Deno.test("a merged person keeps both numbers of a field", async () => {
  const { sql } = database;
  const { workspace } = await workspaceIn("ID");
  const [kept, merged] = [uniqueNumber(), uniqueNumber()];
  const second = uniqueNumber();
  const keptId = await addPerson(sql, workspace, { phone: kept });
  const mergedId = await addPerson(sql, workspace, { phone: `${merged} / ${second}` });
  await database.as({ userId: workspace.agent }, async (agent) => {
    await agent`select from public.merge_people(${keptId}, ${mergedId})`;
  });
  for (const number of [kept, merged, second]) {
    assertEquals(await match(workspace, "whatsapp", number), keptId, number);
  }
});

Deno.test("the functions and the database read the same numbers", async () => {
  const identifiers = Object.values(NUMBERS).flat()
    .flatMap(({ phone, same = [], other = [] }) => [phone, ...same, ...other]);
  const read = await database.service<{ identifier: string; digits: string | null }[]>`
    select given.identifier, private.phone_digits_of('whatsapp', given.identifier) as digits
    from unnest(${identifiers}::text[]) as given (identifier)`;
  assertEquals(
    [...read],
    identifiers.map((identifier) => ({ identifier, digits: phoneDigits(identifier) ?? null })),
  );
});

// libphonenumber --------------------------------------------------------------------------------

Deno.test("the schema file with phone data is what libphonenumber and Unicode say", async () => {
  assertEquals(
    await Deno.readTextFile(PHONE_DATA_PATH),
    generatePhoneData(),
    "run `deno task phone:data`",
  );
});

Deno.test("numbers of after a renumbering are numbers to libphonenumber", async () => {
  const old = [
    "22508123456",
    "22545123456",
    "22502123456",
    "22520212223",
    "22522002223",
    "22521801223",
    "22997123456",
    "23777123456",
    "23722212345",
    "2417412345",
    "24107412345",
    "2416212345",
    "24101712345",
    "2207012345",
    "2203012345",
    "2206312345",
    "2209912345",
    "841201234567",
    "841231234567",
    "841681234567",
    "841861234567",
    "841991234567",
    "5712345678",
  ];
  const rows = await database.service<{ old: string; renumbered: string[]; back: boolean }[]>`
    select given.old, private.renumbered(given.old) as renumbered,
      given.old = any (private.renumbered((private.renumbered(given.old))[1])) as back
    from unnest(${old}::text[]) as given (old)`;
  for (const { old, renumbered, back } of rows) {
    assertEquals([renumbered.length, back], [1, true], old);
    assert(isValidPhoneNumber(`+${renumbered[0]}`), `${old} became ${renumbered}`);
  }
});

/** Valid numbers of a country, found by trying. */
function sampleNumbers(country: ReturnType<typeof getCountries>[number], count: number): string[] {
  const metadata = new Metadata();
  metadata.selectNumberingPlan(country);
  const plan = metadata.numberingPlan!;
  const random = new Random(country.charCodeAt(0) * 256 + country.charCodeAt(1));
  const found: string[] = [];
  for (let attempt = 0; attempt < 20_000 && found.length < count; attempt++) {
    const length = random.pick(plan.possibleLengths()) as number;
    if (length < 6) continue;
    const national = Array.from({ length }, () => random.below(10)).join("");
    const number = `+${getCountryCallingCode(country)}${national}`;
    if (!isValidPhoneNumber(number)) continue;
    const parsed = parsePhoneNumberWithError(number);
    // Freephone, shared-cost and the like do not write messages, and have formats of their own.
    if (
      parsed.number === number && parsed.country === country &&
      /MOBILE|FIXED_LINE/.test(parsed.getType() ?? "")
    ) {
      found.push(number);
    }
  }
  return found;
}

Deno.test("numbers are found as libphonenumber writes them, inside and outside the country", async () => {
  // Belarus writes 8 0 before the number and Gabon a 0 that is no trunk prefix by the library's own
  // data: inside these two, numbers match by their last ten digits or not at all.
  const countries = getCountries().filter((country) => !["BY", "GA"].includes(country));
  const samples = countries.flatMap((country) =>
    sampleNumbers(country, 3).map((number) => {
      const parsed = parsePhoneNumberWithError(number);
      return {
        country,
        digits: number.slice(1),
        national: parsed.formatNational().replaceAll(/\D/g, ""),
        international: parsed.formatInternational().replaceAll(/\D/g, ""),
      };
    })
  );
  assert(new Set(samples.map((each) => each.country)).size > 200);
  const missing = await database.service`
    select sample.country, sample.digits, sample.national
    from jsonb_to_recordset(${database.service.json(samples)})
      as sample (country text, digits text, national text, international text)
    cross join lateral (
      select private.phone_spellings(sample.digits, sample.country)
        || private.phone_variant_spellings(sample.digits, sample.country) as outside,
        private.phone_spellings(sample.national, sample.country)
        || private.phone_variant_spellings(sample.national, sample.country) as inside
    ) as spelling
    where not (array[sample.national, sample.international] <@ spelling.outside)
      or not (sample.digits = any (spelling.inside))`;
  assertEquals([...missing], []);
});

Deno.test("a number is spelled once for a look-up, not once for each person of the workspace", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql, { defaultCountry: "BR" });
  await sql`
    insert into public.people (workspace_id, name, phone)
    select ${workspace.id}, 'Person ' || number, '+5511' || (910000000 + number)
    from generate_series(1, 500) as number`;
  // Only a superuser may count calls.
  const admin = connect(asRole(database.url, SUPERUSER), { max: 1 });
  const calls = await admin.begin(async (sql) => {
    await sql`set local track_functions = 'all'`;
    await sql`select private.match_person(${workspace.id}, 'whatsapp', '+5521987654321')`;
    const [counted] = await sql`
      select calls::integer from pg_stat_xact_user_functions
      where schemaname = 'private' and funcname = 'phone_spellings'`;
    return counted!.calls;
  });
  await admin.end();
  assert(calls > 0 && calls < 50, `${calls} calls`);
});
