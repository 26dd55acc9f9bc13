/**
 * The log of the client. The only file that writes to the console.
 *
 * Fields are names of operations, codes, counts and durations. Texts, phone numbers, session ids (they
 * contain the phone number) and keys are never among them.
 *
 * @module
 */

/** Fields of an entry. */
export type LogFields = Record<string, string | number | boolean | undefined>;

/** Takes entries. `console`, pino and winston fit through a line of adapter code. */
export interface Logger {
  /** Takes what is normal. */
  info(message: string, fields: LogFields): void;
  /** Takes an expected failure, such as a version conflict. */
  warn(message: string, fields: LogFields): void;
  /** Takes any other failure. */
  error(message: string, fields: LogFields): void;
}

/** One line on the console per entry, errors and warnings on stderr. */
export const consoleLogger: Logger = {
  info: (message, fields) => writeLine("info", message, fields),
  warn: (message, fields) => writeLine("warn", message, fields),
  error: (message, fields) => writeLine("error", message, fields),
};

/** A logger that drops everything. */
export const silentLogger: Logger = { info() {}, warn() {}, error() {} };

/** Passes entries on, and lets no failure of the logger reach the agent. */
export function guardLogger(logger: Logger): Logger {
  const guard = (level: keyof Logger) => (message: string, fields: LogFields) => {
    try {
      // A logger may be asynchronous, and an unhandled rejection ends a Node process.
      Promise.resolve(logger[level](message, fields) as unknown).catch(() => {});
    } catch { /* A log that is full is no reason to stop answering customers. */ }
  };
  return { info: guard("info"), warn: guard("warn"), error: guard("error") };
}

function writeLine(level: keyof Logger, message: string, fields: LogFields): void {
  // deno-lint-ignore no-console
  console[level](`${message} ${JSON.stringify(fields)}`);
}
