// Times of the week in a time zone. What the clock on the wall shows there is worked out once a minute, because zones are expensive to
// ask and change their offset at whole minutes only.
import type { TimeWindow } from '#proto/signalbox/config/v1/config_pb.ts';

const MINUTE_MS = 60_000;
const DAYS = 7;
const weekdayNumbers: Readonly<Record<string, number>> = {
  Mon: 1,
  Tue: 2,
  Wed: 3,
  Thu: 4,
  Fri: 5,
  Sat: 6,
  Sun: 7,
};

interface LocalTime {
  /** 1 is Monday. */
  readonly weekday: number;
  readonly minute: number;
}

/** Undefined for a time zone that does not exist here. */
export function compileTimeWindow({
  weekdays,
  fromMinute,
  toMinute,
  zone,
}: TimeWindow): ((wallMs: number) => boolean) | undefined {
  const local = localTimeIn(zone);
  if (local === undefined) return undefined;
  const isOn = (weekday: number) => weekdays.length === 0 || weekdays.includes(weekday);
  return (wallMs) => {
    const { weekday, minute } = local(wallMs);
    if (fromMinute === toMinute) return isOn(weekday);
    if (fromMinute < toMinute) return isOn(weekday) && minute >= fromMinute && minute < toMinute;
    const yesterday = ((weekday + DAYS - 2) % DAYS) + 1;
    return (isOn(weekday) && minute >= fromMinute) || (isOn(yesterday) && minute < toMinute);
  };
}

function localTimeIn(zone: string): ((wallMs: number) => LocalTime) | undefined {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
  } catch {
    return undefined;
  }
  let knownMinute = Number.NaN;
  let known: LocalTime = { weekday: 1, minute: 0 };
  return (wallMs) => {
    const minute = Math.floor(wallMs / MINUTE_MS);
    if (minute !== knownMinute) {
      known = readLocalTime(format, minute * MINUTE_MS);
      knownMinute = minute;
    }
    return known;
  };
}

function readLocalTime(format: Intl.DateTimeFormat, wallMs: number): LocalTime {
  const parts = new Map(format.formatToParts(wallMs).map(({ type, value }) => [type, value]));
  return {
    weekday: weekdayNumbers[parts.get('weekday')!]!,
    minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')),
  };
}
