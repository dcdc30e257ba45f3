// Times of the week as people write them: days such as `mon` and `mon-fri`, and times of day such as `08:30`, in a time zone as IANA
// calls it.

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
type Day = (typeof dayNames)[number];
const DAY = dayNames.join('|');

export const daysPattern = new RegExp(`^(?:${DAY})(?:-(?:${DAY}))?$`);
/** `24:00` is the end of a day. */
export const timeOfDayPattern = /^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/;

/** 1 is Monday, 7 is Sunday; `sat-mon` is three days. Expects what the schema has accepted, as all of these do. */
export function weekdaysOf(written: readonly string[]): readonly number[] {
  const days = written.flatMap((text) => {
    const [from, to = from] = text.split('-').map((day) => dayNames.indexOf(day as Day));
    const count = ((to! - from! + dayNames.length) % dayNames.length) + 1;
    return Array.from({ length: count }, (_, offset) => ((from! + offset) % dayNames.length) + 1);
  });
  return [...new Set(days)].sort((one, other) => one - other);
}

export function minuteOfDay(written: string): number {
  const [hours, minutes] = written.split(':').map(Number);
  return hours! * 60 + minutes!;
}

export function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
