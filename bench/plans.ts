/**
 * Records the actual plans of statements inside functions with `auto_explain`, so that no copy of a statement can
 * differ from the function.
 *
 * @module
 */

import type postgres from "postgres";

/** A statement that ran, with its plan. */
export interface ExplainedStatement {
  readonly query: string;
  readonly plan: string;
}

/** Records plans in one database session. */
export class PlanRecorder {
  #notices: string[] = [];

  /** The `onnotice` of the client. */
  readonly onNotice = (notice: postgres.Notice): void => {
    this.#notices.push(notice.message ?? "");
  };

  /** Runs work as a signed-in user and returns the plans of all statements, nested ones first. */
  async record(sql: postgres.Sql, run: () => Promise<unknown>): Promise<ExplainedStatement[]> {
    // Only a superuser can switch auto_explain on, and only in its own session.
    await sql.unsafe(`
      reset role;
      load 'auto_explain';
      set auto_explain.log_min_duration = 0;
      set auto_explain.log_nested_statements = on;
      set auto_explain.log_analyze = on;
      set auto_explain.log_buffers = on;
      set auto_explain.log_level = notice;
      set auto_explain.log_parameter_max_length = 0;
      set role authenticated`);
    this.#notices = [];
    await run();
    const notices = this.#notices;
    await sql.unsafe("reset role; set auto_explain.log_min_duration = -1; set role authenticated");
    return notices.flatMap((notice) => {
      const [, query, plan] =
        /plan:\nQuery Text: \s*([^]*?)\n((?:Limit|Result|Sort|Aggregate|Nested Loop|Function Scan|Index|Bitmap|Seq Scan|Hash|Merge|Append|Unique|Subquery Scan)[^\n]*\(cost[^]*)/
          .exec(notice) ?? [];
      return query && plan ? [{ query: dedent(query), plan: plan.trimEnd() }] : [];
    });
  }
}

function dedent(query: string): string {
  const lines = query.trimEnd().split("\n");
  const indent = Math.min(
    ...lines.slice(1).filter((line) => line.trim() !== "").map((line) => line.search(/\S/)),
  );
  return lines.map((line, index) => index === 0 ? line : line.slice(indent)).join("\n");
}
