/**
 * Files that a browser can show and play, made here so that none has to be kept.
 *
 * @module
 */

import { crc32, deflateSync } from "node:zlib";

/** A PNG picture: a jacket's worth of soft colour in the given hue, 0 to 360. */
export function samplePicture(hue: number): Uint8Array<ArrayBuffer> {
  const width = 320;
  const height = 240;
  const rows = new Uint8Array(height * (1 + width * 3));
  for (let y = 0; y < height; y++) {
    // Each row begins with the number of its filter, none.
    const row = y * (1 + width * 3) + 1;
    for (let x = 0; x < width; x++) {
      const distance = Math.hypot(x - width * 0.5, y - height * 0.55) / height;
      const isInside = distance < 0.33;
      const light = isInside ? 0.62 - distance * 0.5 : 0.9 - 0.2 * y / height;
      rows.set(
        rgb(hue + (isInside ? 0 : 30), isInside ? 0.55 : 0.25, light),
        row + x * 3,
      );
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

/** A WAV recording of so many seconds: a few soft notes. */
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
