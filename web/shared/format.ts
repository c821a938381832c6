/* format.ts: numbers with units, as people read them.
 *
 * Owns every conversion from what is on the wire (seconds, bytes, tokens; UCUM units) to what is on the
 * screen (ms, MB, tok/s). Refuses to invent: a number that was not measured is "–", never 0.
 * Two significant digits, and no decimals from ten up: live numbers with more digits only flicker.
 */

export const NOT_MEASURED = "–";

export function decimal(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.995) return value.toPrecision(2).replace(/\.?0+$/, "");
  if (size !== 0 && size < 9.95) return value.toFixed(1);
  return Math.round(value).toLocaleString("en-US");
}

function seconds(value: number): string {
  const size = Math.abs(value);
  if (size < 0.9995e-3) return `${decimal(value * 1e6)} µs`;
  if (size < 0.9995) return `${decimal(value * 1e3)} ms`;
  return `${decimal(value)} s`;
}

function bytes(value: number): string {
  const steps: [number, string][] = [
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ];
  for (const [size, name] of steps) {
    if (Math.abs(value) >= size * 0.9995) return `${decimal(value / size)} ${name}`;
  }
  return `${decimal(value)} B`;
}

/** "{token}/s" -> "tok/s", "{request}" -> "requests", "s" -> "s". */
export function unitLabel(unit: string): string {
  if (unit === "By") return "bytes";
  if (unit === "By/s") return "bytes/s";
  if (unit === "t_ms" || unit === "date_ms") return "ms since 1970";
  if (unit === "1") return "";
  return unit.replace("{token}/s", "tok/s").replace(/\/\{(\w+)\}/g, "/$1").replace(/\{(\w+)\}/g, "$1s");
}

/** One measured value in a UCUM unit, "1" being a share of a whole; undefined, null and NaN mean "not measured". Two
 * units are the pages' own: moments in milliseconds since 1970, as a time of day ("t_ms") or with the day ("date_ms"). */
export function quantity(value: number | null | undefined, unit: string): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return NOT_MEASURED;
  if (unit === "s") return seconds(value);
  if (unit === "By") return bytes(value);
  if (unit === "By/s") return `${bytes(value)}/s`;
  if (unit === "1") return percent(value);
  if (unit === "t_ms") return clockTime(value);
  if (unit === "date_ms") return dateTime(value);
  if (unit === "Hz" && Math.abs(value) >= 1e9) return `${decimal(value / 1e9)} GHz`;
  if (unit === "{token}" && Math.round(value) === 1) return "1 token";
  if (unit === "{request}" && Math.round(value) === 1) return "1 request";
  return `${decimal(value)} ${unitLabel(unit)}`.trimEnd();
}

/** "4.2 / 5.0 ms": two values, the unit once where both have the same; a dash when neither was measured. */
export function pair(a: number | undefined, b: number | undefined, unit: string): string {
  const [first, second] = [quantity(a, unit), quantity(b, unit)];
  if (first === NOT_MEASURED && second === NOT_MEASURED) return NOT_MEASURED;
  const tail = / \S+$/.exec(second)?.[0];
  return tail && first.endsWith(tail) ? `${first.slice(0, -tail.length)} / ${second}` : `${first} / ${second}`;
}

/** "80 to 110 tok/s"; one number where both ends read the same. */
export function rangeText({ low, high }: { low: number; high: number }): string {
  const [a, b] = [quantity(low, "{token}/s"), quantity(high, "{token}/s")];
  return a === b ? a : `${a.replace(/ \S+$/, "")} to ${b}`;
}

/** A share between 0 and 1 as "71 %"; small ones keep a decimal. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return NOT_MEASURED;
  return `${decimal(100 * share)} %`;
}

/** A moment on this machine's clock: "14:03:07". */
export function clockTime(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toLocaleTimeString("en-GB") : NOT_MEASURED;
}

/** A moment with its day, to the second: "2026-11-22 14:03:07". */
export function dateTime(ms: number): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return NOT_MEASURED;
  return `${new Date(ms).toLocaleDateString("sv-SE")} ${clockTime(ms)}`;
}

/** How long something took: "00:12:41". */
export function elapsed(ms: number): string {
  if (!Number.isFinite(ms)) return NOT_MEASURED;
  const s = Math.max(0, Math.floor(ms / 1000));
  return [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60].map((x) => String(x).padStart(2, "0")).join(":");
}

/** Age for a status line: "now", "12 s", "3 min", "2 h". */
export function age(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 1) return "now";
  if (s < 100) return `${s} s`;
  if (s < 100 * 60) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}

export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en-US")} ${noun}${n === 1 ? "" : "s"}`;
}
