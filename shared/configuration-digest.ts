// The digest by which two planes tell whether they hold the same configuration: the sum, modulo 2^256, of the SHA-256 of
// every (type, name, version). A sum does not depend on order and changes by one addition or subtraction when one
// resource changes, so a node with 100,000 keys never has to hash them all again. It finds mistakes; against malice the
// signature over it does.
import { hash } from 'node:crypto';

const WORDS = 8;
const WORD_VALUES = 2 ** 32;

export class ConfigurationDigest {
  readonly #words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.#words = words;
  }

  static empty(): ConfigurationDigest {
    return new ConfigurationDigest(new Uint32Array(WORDS));
  }

  copy(): ConfigurationDigest {
    return new ConfigurationDigest(this.#words.slice());
  }

  add(type: number, name: string, version: bigint): void {
    this.#change(type, name, version, 1);
  }

  remove(type: number, name: string, version: bigint): void {
    this.#change(type, name, version, -1);
  }

  bytes(): Buffer {
    const out = Buffer.alloc(WORDS * 4);
    for (const [index, word] of this.#words.entries()) out.writeUInt32LE(word, index * 4);
    return out;
  }

  #change(type: number, name: string, version: bigint, sign: 1 | -1): void {
    // The one-shot form: a hash object per resource is what garbage collection would then be about.
    const summand = hash('sha256', `${type}\0${name}\0${version}`, 'buffer');
    let carry = 0;
    for (let index = 0; index < WORDS; index++) {
      const sum = this.#words[index]! + sign * summand.readUInt32LE(index * 4) + carry;
      this.#words[index] = sum; // stored modulo 2^32
      carry = Math.floor(sum / WORD_VALUES);
    }
  }
}
