/**
 * Messages per day and platform, as stacked bars: one for received and one for sent messages.
 *
 * @module
 */

import {
  Bar,
  BarChart,
  CartesianGrid,
  Rectangle,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from "recharts";
import { type OverviewStatistics, type Platform, PLATFORMS } from "../api/rows.ts";
import { texts } from "../texts.ts";

type Day =
  & { date: string }
  & Partial<Record<`${Platform}-${"inbound" | "outbound"}`, number>>;

const DIRECTIONS = ["inbound", "outbound"] as const;
const DIRECTION_TEXTS = {
  inbound: texts.overview.received,
  outbound: texts.overview.sent,
};

// Days of the workspace have no time zone: parsed and formatted in UTC they do not shift.
const shortDay = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  timeZone: "UTC",
});
const longDay = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full",
  timeZone: "UTC",
});

/** The chart, its legend, and the same data as a table. */
export function MessagesChart({ rows, dayCount, timeZone }: {
  rows: OverviewStatistics["days"];
  dayCount: number;
  timeZone: string;
}) {
  const days = fillDays(rows, dayCount, timeZone);
  const platforms = PLATFORMS.filter((platform) => rows.some((row) => row.platform === platform));
  return (
    <>
      <ul className="chart-legend">
        {platforms.flatMap((platform) =>
          DIRECTIONS.map((direction) => (
            <li key={platform + direction}>
              <span
                className="chart-swatch"
                style={{
                  background: `var(--series-${platform})`,
                  opacity: opacityOf(direction),
                }}
                aria-hidden
              />
              {texts.platforms[platform]}, {DIRECTION_TEXTS[direction]}
            </li>
          ))
        )}
      </ul>
      <div className="chart" aria-hidden>
        <ResponsiveContainer width="100%" height="100%">
          <BarChart
            data={days}
            margin={{ top: 8, right: 4, bottom: 0, left: 0 }}
            accessibilityLayer={false}
          >
            <CartesianGrid vertical={false} stroke="var(--border)" />
            <XAxis
              dataKey="date"
              tickFormatter={(date: string) => shortDay.format(new Date(date))}
              tickLine={false}
              axisLine={{ stroke: "var(--border-strong)" }}
              minTickGap={18}
            />
            <YAxis
              allowDecimals={false}
              tickLine={false}
              axisLine={false}
              width={44}
            />
            <Tooltip
              content={<DayTooltip />}
              cursor={{ fill: "var(--surface-hover)" }}
            />
            {platforms.flatMap((platform) =>
              DIRECTIONS.map((direction) => (
                <Bar
                  key={platform + direction}
                  dataKey={`${platform}-${direction}`}
                  stackId={direction}
                  fill={`var(--series-${platform})`}
                  fillOpacity={opacityOf(direction)}
                  isAnimationActive={false}
                  maxBarSize={28}
                  shape={<Rectangle radius={2} />}
                />
              ))
            )}
          </BarChart>
        </ResponsiveContainer>
      </div>
      <details>
        <summary>{texts.overview.table}</summary>
        <div
          className="table-scroll"
          tabIndex={0}
          role="region"
          aria-label={texts.overview.chart}
        >
          <table>
            <thead>
              <tr>
                <th scope="col">{texts.overview.date}</th>
                <th scope="col">{texts.contact.platform}</th>
                <th scope="col">{texts.overview.received}</th>
                <th scope="col">{texts.overview.sent}</th>
              </tr>
            </thead>
            <tbody>
              {rows.toReversed().map((row) => (
                <tr key={row.date + row.platform}>
                  <td>{shortDay.format(new Date(row.date))}</td>
                  <td>{texts.platforms[row.platform]}</td>
                  <td>{row.inbound.toLocaleString()}</td>
                  <td>{row.outbound.toLocaleString()}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

function DayTooltip({ active, payload, label }: {
  active?: boolean;
  payload?: readonly { dataKey?: unknown; value?: unknown }[];
  label?: string;
}) {
  if (!active || !label || !payload) return null;
  return (
    <div className="chart-tooltip">
      <strong>{longDay.format(new Date(label))}</strong>
      {payload.filter(({ value }) => Number(value) > 0).map(
        ({ dataKey, value }) => {
          const [platform, direction] = String(dataKey).split("-") as [
            Platform,
            typeof DIRECTIONS[number],
          ];
          return (
            <p key={String(dataKey)}>
              {texts.platforms[platform]}, {DIRECTION_TEXTS[direction]}:{" "}
              {Number(value).toLocaleString()}
            </p>
          );
        },
      )}
    </div>
  );
}

function opacityOf(direction: typeof DIRECTIONS[number]): number {
  return direction === "inbound" ? 1 : 0.45;
}

/** Every day of the range, including days without messages. */
function fillDays(
  rows: OverviewStatistics["days"],
  dayCount: number,
  timeZone: string,
): Day[] {
  const today = new Intl.DateTimeFormat("en-CA", {
    timeZone,
    dateStyle: "short",
  })
    .format(new Date());
  const days = Array.from({ length: dayCount }, (_, index): Day => {
    const date = new Date(
      Date.parse(today) - (dayCount - 1 - index) * 86_400_000,
    );
    return { date: date.toISOString().slice(0, 10) };
  });
  const byDate = new Map(days.map((day) => [day.date, day]));
  for (const row of rows) {
    const day = byDate.get(row.date);
    if (!day) continue;
    day[`${row.platform}-inbound`] = row.inbound;
    day[`${row.platform}-outbound`] = row.outbound;
  }
  return days;
}
