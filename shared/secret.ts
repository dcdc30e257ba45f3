// A value that must not appear in a log, an error or an answer. Printing it in any way gives "[secret]"; only `reveal`
// returns what is inside, so every place where a secret leaves its box can be found by searching for that word.
import { inspect } from 'node:util';

const MASK = '[secret]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}
