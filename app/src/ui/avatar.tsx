/**
 * Initials on a colour that depends on the name.
 *
 * @module
 */

import type { Platform } from "../api/rows.ts";
import { PlatformIcon } from "./platform_icon.tsx";

const COLOURS = 8;

/** Stands for a picture. Decoration: the name is written beside it. */
export function Avatar({ name, platform, shape = "round", size = "medium" }: {
  name: string;
  platform?: Platform;
  shape?: "round" | "square";
  size?: "small" | "medium" | "large";
}) {
  return (
    <span className={`avatar avatar-${shape} avatar-${size}`} aria-hidden>
      {/* Drawn by the style: as text they would count as a part of the button that they stand in. */}
      <span
        className={`avatar-face avatar-colour-${hash(name) % COLOURS}`}
        data-initials={initials(name)}
      />
      {platform && <PlatformIcon platform={platform} isBadge />}
    </span>
  );
}

function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters = words.map((word) => /[\p{L}]/u.exec(word)?.[0]).filter(
    Boolean,
  );
  if (letters.length === 0) {
    // The last digits of a number, or the first character, such as an emoji.
    const [first] = new Intl.Segmenter().segment(name.trim());
    return /\d{2}$/.exec(name.trim())?.[0] ?? first?.segment ?? "?";
  }
  return ((letters[0] ?? "") + (letters.length > 1 ? letters.at(-1) : ""))
    .toUpperCase();
}

function hash(text: string): number {
  let value = 0;
  for (const character of text) {
    value = (value * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  }
  return value;
}
