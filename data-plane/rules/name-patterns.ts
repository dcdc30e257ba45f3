// Lists of public names as people write them: exact names, and prefixes ending in `*`. Turned into one function when a
// snapshot is compiled, so that a request pays for a set look-up and not for the list.

export type MatchesName = (name: string) => boolean;

export function matchesAny(patterns: readonly string[]): MatchesName {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const pattern of patterns) {
    if (pattern === '*') return everything;
    if (pattern.endsWith('*')) prefixes.push(pattern.slice(0, -1));
    else exact.add(pattern);
  }
  if (exact.size === 0 && prefixes.length === 0) return nothing;
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

export const everything: MatchesName = () => true;
const nothing: MatchesName = () => false;
