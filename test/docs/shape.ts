// Whether an answer is what a document shows: the same members of the same types, and the same words where a program
// would look at them. Numbers, ids and times may differ, and `null` or an empty list say nothing about what else may come.

/** Members whose values callers compare with words that the documents promise. */
const promised = new Set(['code', 'type', 'status', 'title', 'object', 'outcome', 'source', 'group_by']);

/** Every difference as a sentence; with `partly`, the answer may have members that are not shown. */
export function differences(shown: unknown, answer: unknown, partly: boolean, path = 'answer'): string[] {
  if (shown === null || answer === null) return [];
  if (Array.isArray(shown) && Array.isArray(answer)) {
    const [first] = shown;
    if (first === undefined) return [];
    if (answer.length === 0) return [`${path} is empty`];
    return answer.flatMap((element, index) => differences(first, element, partly, `${path}[${index}]`));
  }
  if (isRecord(shown) && isRecord(answer)) return memberDifferences(shown, answer, partly, path);
  const [wanted, got] = [kindOf(shown), kindOf(answer)];
  return wanted === got ? [] : [`${path} is shown as ${wanted} and is ${got}`];
}

function memberDifferences(
  shown: Record<string, unknown>,
  answer: Record<string, unknown>,
  partly: boolean,
  path: string,
): string[] {
  const missing = Object.keys(shown).filter((name) => !Object.hasOwn(answer, name));
  const unshown = partly ? [] : Object.keys(answer).filter((name) => !Object.hasOwn(shown, name));
  const inner = Object.keys(shown)
    .filter((name) => Object.hasOwn(answer, name))
    .flatMap((name) => {
      const place = `${path}.${name}`;
      if (promised.has(name) && typeof shown[name] === 'string' && shown[name] !== answer[name])
        return [`${place} is shown as "${shown[name]}" and is "${answer[name]}"`];
      return differences(shown[name], answer[name], partly, place);
    });
  return [
    ...missing.map((name) => `${path}.${name} is shown and is not there`),
    ...unshown.map((name) => `${path}.${name} is there and is not shown`),
    ...inner,
  ];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return isRecord(value) ? 'an object' : `a ${typeof value}`;
}
