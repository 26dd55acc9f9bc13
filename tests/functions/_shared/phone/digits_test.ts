import { assertEquals } from "@std/assert";
import { phoneDigits } from "../../../../supabase/functions/_shared/phone/digits.ts";

Deno.test("phoneDigits() reads a phone number in any spelling", () => {
  for (
    const phone of [
      "+5511988887777",
      "5511988887777",
      "005511988887777",
      "+55 11 98888-7777",
      "+55\u00a0(11)98888‑7777",
      "+55 11 98888-7777 ext. 12",
      "tel:+55-11-98888-7777;ext=12",
      "5511988887777.0:7@S.WhatsApp.net",
      "5511988887777@hosted",
      "＋５５１１９８８８８－７７７７",
      "٥٥١١٩٨٨٨٨٧٧٧٧",
    ]
  ) {
    assertEquals(phoneDigits(phone), "5511988887777", phone);
  }
});

Deno.test("phoneDigits() takes nothing else for a phone number", () => {
  for (const value of ["BR.81200034", "0055119", "123456", "1234567890123456", "", null, 5511]) {
    assertEquals(phoneDigits(value), undefined, `${value}`);
  }
});
