/**
 * Templates in the app: which fields there are, what they read like, and what is sent.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Template } from "../../../app/src/api/rows.ts";
import {
  headerMedia,
  renderTemplate,
  templateComponents,
  templateFields,
} from "../../../app/src/composer/template.ts";

function template(
  components: Template["components"],
  parameterFormat = "POSITIONAL",
): Template {
  return {
    id: "1",
    name: "order_ready",
    language: "en",
    category: "UTILITY",
    parameter_format: parameterFormat,
    components,
  };
}

Deno.test("every placeholder is a field, each once, in the order in which it is read", () => {
  const fields = templateFields(template([
    { type: "HEADER", format: "TEXT", text: "Order {{1}}" },
    { type: "BODY", text: "Hi {{1}}, {{2}} is ready. {{1}}!" },
    { type: "FOOTER", text: "{{1}} is not a field here" },
    {
      type: "BUTTONS",
      buttons: [
        { type: "QUICK_REPLY", text: "Thanks" },
        { type: "URL", text: "Track", url: "https://example.com/{{1}}" },
      ],
    },
  ]));
  assertEquals(fields.map(({ key }) => key), ["header-0-1", "body-0-1", "body-0-2", "button-1-1"]);
});

Deno.test("what is filled in is shown and sent; named parameters with their names", () => {
  const named = template([{ type: "BODY", text: "Hi {{first_name}}" }], "NAMED");
  const values = new Map([["body-0-first_name", " Rita "]]);
  assertEquals(renderTemplate(named, values).body, "Hi Rita");
  assertEquals(renderTemplate(named, new Map()).body, "Hi {{first_name}}");
  assertEquals(templateComponents(named, values, undefined), [{
    type: "body",
    parameters: [{ type: "text", text: "Rita", parameter_name: "first_name" }],
  }]);
});

Deno.test("a file for the header and the end of a button's address go where Meta wants them", () => {
  const given = template([
    { type: "HEADER", format: "DOCUMENT" },
    { type: "BODY", text: "Your receipt" },
    {
      type: "BUTTONS",
      buttons: [{ type: "URL", text: "Open", url: "https://example.com/{{1}}" }],
    },
  ]);
  assertEquals(headerMedia(given), "document");
  assertEquals(templateComponents(given, new Map([["button-0-1", "88"]]), "media-1"), [
    { type: "header", parameters: [{ type: "document", document: { id: "media-1" } }] },
    { type: "button", sub_type: "url", index: "0", parameters: [{ type: "text", text: "88" }] },
  ]);
});
