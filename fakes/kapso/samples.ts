/**
 * Generates files that a browser can show and play.
 *
 * @module
 */

import { crc32, deflateSync } from "node:zlib";

/** The pictures. For a point, from -1 to 1 in both directions: whether it belongs to the subject, and how light it is. */
const SUBJECTS = {
  jacket(x: number, y: number): number | undefined {
    const side = Math.abs(x);
    const isCollar = side < 0.14 && y > -0.72 && y < -0.52;
    const isBody = side < 0.34 + 0.04 * y && y > -0.55 && y < 0.62;
    const isSleeve = y > -0.55 && y < 0.35 && side > 0.26 && side < 0.5 + 0.22 * (y + 0.3) &&
      side > 0.3 + 0.28 * y;
    if (!isCollar && !isBody && !isSleeve) return undefined;
    if (side < 0.012) return 0.85;
    return isBody && side > 0.1 && side < 0.24 && y > 0.2 && y < 0.24
      ? 0.36
      : isSleeve
      ? 0.42
      : 0.5;
  },
  cake(x: number, y: number): number | undefined {
    if (Math.hypot(x, y + 0.52) < 0.08) return 0.4;
    const side = Math.abs(x);
    const icing = 0.04 * Math.sin(x * 22);
    if (side < 0.3 && y > -0.44 && y < 0.02) return y < -0.3 + icing ? 0.92 : 0.62;
    if (side < 0.48 && y > 0.02 && y < 0.52) return y < 0.16 + icing ? 0.92 : 0.55;
    return side < 0.62 && y > 0.52 && y < 0.57 ? 0.7 : undefined;
  },
} as const;

/** Draws a PNG picture of a subject, in a hue from 0 to 360. */
export function samplePicture(
  subject: keyof typeof SUBJECTS,
  hue: number,
): Uint8Array<ArrayBuffer> {
  const width = 320;
  const height = 240;
  const rows = new Uint8Array(height * (1 + width * 3));
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const pixel = [0, 0, 0];
      // Four points in each pixel, so that edges are smooth.
      for (
        const [right, down] of [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]] as const
      ) {
        const x = (column + right - width / 2) / (height / 2);
        const y = (row + down - height / 2) / (height / 2);
        const light = SUBJECTS[subject](x, y);
        const colour = light === undefined
          ? rgb(hue + 30, 0.25, 0.9 - 0.1 * (y + 1))
          : rgb(hue, 0.5, light);
        colour.forEach((part, index) => pixel[index]! += part / 4);
      }
      // Each row begins with the number of its filter, none.
      rows.set(pixel, row * (1 + width * 3) + 1 + column * 3);
    }
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  // Eight bits for each of red, green and blue.
  header.set([8, 2], 8);
  return concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", new Uint8Array()),
  ]);
}

/** Generates a WAV recording of some seconds: a few soft notes. */
export function sampleRecording(seconds: number): Uint8Array<ArrayBuffer> {
  const rate = 8000;
  const samples = Math.round(seconds * rate);
  const file = new Uint8Array(44 + samples);
  const view = new DataView(file.buffer);
  const write = (text: string, at: number) => file.set(new TextEncoder().encode(text), at);
  write("RIFF", 0);
  view.setUint32(4, 36 + samples, true);
  write("WAVEfmt ", 8);
  view.setUint32(16, 16, true);
  // Uncompressed, one channel, eight bits.
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate, true);
  view.setUint16(32, 1, true);
  view.setUint16(34, 8, true);
  write("data", 36);
  view.setUint32(40, samples, true);
  const notes = [262, 330, 392, 330];
  for (let index = 0; index < samples; index++) {
    const time = index / rate;
    const note = notes[Math.floor(time * 2) % notes.length]!;
    const swell = Math.sin(Math.PI * ((time * 2) % 1));
    file[44 + index] = 128 + 40 * swell * Math.sin(2 * Math.PI * note * time);
  }
  return file;
}

function chunk(name: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = concat([new TextEncoder().encode(name), data]);
  const frame = new DataView(new ArrayBuffer(8));
  frame.setUint32(0, data.length);
  frame.setUint32(4, crc32(body));
  return concat([
    new Uint8Array(frame.buffer, 0, 4),
    body,
    new Uint8Array(frame.buffer, 4, 4),
  ]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(
    parts.reduce((length, part) => length + part.length, 0),
  );
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
}

function rgb(
  hue: number,
  saturation: number,
  light: number,
): [number, number, number] {
  const channel = (offset: number) => {
    const place = (offset + hue / 30) % 12;
    const swing = saturation * Math.min(light, 1 - light);
    return 255 *
      (light - swing * Math.max(-1, Math.min(place - 3, 9 - place, 1)));
  };
  return [channel(0), channel(8), channel(4)];
}
