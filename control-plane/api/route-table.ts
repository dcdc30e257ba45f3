// Which paths exist under which methods, noted as routes are registered: to tell "no such path" from "not with this
// method", and to let a test compare what is served with what is documented.
import { SignalboxError } from '#shared/errors.ts';

export class RouteTable {
  readonly #methodsByPath = new Map<string, Set<string>>();

  add(method: string | readonly string[], path: string): void {
    const methods = this.#methodsByPath.get(path) ?? new Set();
    for (const each of [method].flat()) methods.add(each as string);
    this.#methodsByPath.set(path, methods);
  }

  all(): readonly string[] {
    return [...this.#methodsByPath].flatMap(([path, methods]) =>
      [...methods].map((method) => `${method} ${path}`),
    );
  }

  explainMissing(method: string, url: string): SignalboxError {
    const path = url.split('?', 1)[0]!;
    const allowed = [...this.#methodsByPath]
      .filter(([pattern]) => !pattern.includes('*') && matches(pattern, path))
      .flatMap(([, methods]) => [...methods]);
    if (allowed.length === 0) {
      return new SignalboxError('not_found', `There is nothing at ${path}. /docs lists what there is.`);
    }
    return new SignalboxError(
      'method_not_allowed',
      `${method} is not supported at ${path}; it supports ${[...new Set(allowed)].sort().join(', ')}.`,
    );
  }
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => (part.startsWith(':') ? given[index] !== '' : part === given[index]))
  );
}
