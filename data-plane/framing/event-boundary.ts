// Finds where server-sent events end, in bytes that arrive in any pieces. An event ends with a blank line; a line ends with
// LF, CRLF or CR, so what a CR means may only be known when the next byte comes. Kept apart from the reader because the
// usage tap needs the boundaries and nothing else.

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export class EventBoundary {
  #lineIsEmpty = true;
  #afterCarriageReturn = false;

  /**
   * The offset just past the first event that ends in `bytes` at or after `from`, or -1 when none does. Every byte has to be
   * shown once and in order. When an event ends with a CR that is the last byte here, an LF that opens the next bytes still
   * belongs to it; it is counted to the next event, where it means nothing.
   */
  next(bytes: Uint8Array, from: number): number {
    const length = bytes.length;
    let empty = this.#lineIsEmpty;
    let carriage = this.#afterCarriageReturn;
    let at = from;
    while (at < length) {
      const byte = bytes[at]!;
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) {
        empty = false;
        carriage = false;
        at += 1;
        while (at < length && bytes[at]! > CARRIAGE_RETURN) at += 1;
        continue;
      }
      at += 1;
      if (byte === LINE_FEED && carriage) {
        carriage = false;
        continue;
      }
      carriage = byte === CARRIAGE_RETURN;
      if (!empty) {
        empty = true;
        continue;
      }
      if (carriage && at < length) {
        carriage = false;
        if (bytes[at] === LINE_FEED) at += 1;
      }
      this.#lineIsEmpty = true;
      this.#afterCarriageReturn = carriage;
      return at;
    }
    this.#lineIsEmpty = empty;
    this.#afterCarriageReturn = carriage;
    return -1;
  }
}
