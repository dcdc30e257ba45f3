// The beginning of an event whose end has not arrived. It grows by doubling, so that an event that comes one byte at a time
// costs no more than one that comes whole, and it has a limit, so that an upstream that never ends its event cannot fill
// the memory.
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';

const FIRST_BYTES = 1024;

export class HeldBytes {
  #memory: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length;
    if (needed > limits.streamEventBytesMax) {
      throw new SignalboxError(
        'upstream_invalid',
        `The provider sent an event of more than ${limits.streamEventBytesMax} bytes, which is the limit.`,
      );
    }
    if (needed > this.#memory.length) {
      const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, needed, this.#memory.length * 2));
      this.#memory.copy(larger, 0, 0, this.#length);
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.#length);
    this.#length = needed;
  }

  /** A view of what is held, good until the next append. */
  view(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  /** Hands out what was held, together with its memory. */
  take(): Buffer {
    const taken = this.view();
    this.#memory = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }
}
