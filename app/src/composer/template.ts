/**
 * Templates: their placeholders, their preview, and the components that are sent.
 *
 * @module
 */

import type { Template } from "../api/rows.ts";

/** Parameters for one component of a template, in Meta's format. */
type TemplateParameters = {
  type: string;
  sub_type?: string;
  index?: string;
  parameters: Record<string, unknown>[];
};

/** A placeholder to fill in. */
export interface TemplateField {
  /** Unique among the fields of the template. */
  key: string;
  part: "header" | "body" | "button";
  /** Index of the button. */
  index: number;
  /** Name between the braces: a number or a word. */
  placeholder: string;
  /** Text of the button. */
  label?: string | undefined;
}

const PLACEHOLDER = /\{\{\s*([\w]+)\s*\}\}/g;

/** The fields of a template, in the order in which they are read. */
export function templateFields(template: Template): TemplateField[] {
  return template.components.flatMap((component): TemplateField[] => {
    const type = component.type.toLowerCase();
    if (type === "buttons") {
      return (component.buttons ?? []).flatMap((button, index) =>
        placeholders(button.url).map((placeholder) => ({
          key: `button-${index}-${placeholder}`,
          part: "button" as const,
          index,
          placeholder,
          label: button.text,
        }))
      );
    }
    if (type !== "header" && type !== "body") return [];
    return placeholders(component.text).map((placeholder) => ({
      key: `${type}-0-${placeholder}`,
      part: type,
      index: 0,
      placeholder,
    }));
  });
}

/** The type of file that the header needs; undefined for none. */
export function headerMedia(
  template: Template,
): "image" | "video" | "document" | undefined {
  const header = template.components.find(({ type }) => type.toLowerCase() === "header");
  const format = header?.format?.toLowerCase();
  return format === "image" || format === "video" || format === "document" ? format : undefined;
}

/** Header, body and footer as the customer will see them. Empty placeholders keep their braces. */
export function renderTemplate(
  template: Template,
  values: ReadonlyMap<string, string>,
): { header: string; body: string; footer: string; buttons: string[] } {
  const text = (type: string) => {
    const component = template.components.find((part) => part.type.toLowerCase() === type);
    return (component?.text ?? "").replace(
      PLACEHOLDER,
      (braces, name) => values.get(`${type}-0-${name}`)?.trim() || braces,
    );
  };
  return {
    header: text("header"),
    body: text("body"),
    footer: text("footer"),
    buttons: template.components.flatMap(({ buttons }) =>
      (buttons ?? []).flatMap((button) => button.text ?? [])
    ),
  };
}

/** The components in Meta's format. */
export function templateComponents(
  template: Template,
  values: ReadonlyMap<string, string>,
  mediaId: string | undefined,
): TemplateParameters[] {
  const fields = templateFields(template);
  const isNamed = template.parameter_format?.toUpperCase() === "NAMED";
  const parameter = (field: TemplateField) => ({
    type: "text",
    text: values.get(field.key)?.trim() ?? "",
    ...(isNamed && field.part !== "button" ? { parameter_name: field.placeholder } : {}),
  });
  const components: TemplateParameters[] = [];
  const media = headerMedia(template);
  const header = media && mediaId
    ? [{ type: media, [media]: { id: mediaId } }]
    : fields.filter(({ part }) => part === "header").map(parameter);
  if (header.length > 0) {
    components.push({ type: "header", parameters: header });
  }
  const body = fields.filter(({ part }) => part === "body").map(parameter);
  if (body.length > 0) components.push({ type: "body", parameters: body });
  for (const field of fields.filter(({ part }) => part === "button")) {
    components.push({
      type: "button",
      sub_type: "url",
      index: String(field.index),
      parameters: [parameter(field)],
    });
  }
  return components;
}

function placeholders(text: string | undefined): string[] {
  return [
    ...new Set(
      [...(text ?? "").matchAll(PLACEHOLDER)].map((match) => match[1]!),
    ),
  ];
}
