// A stream as the gateway takes it in, from bytes in whatever pieces: read into events, or passing through a tap.
import type { Dialect, StreamReport, StreamTap } from '#data-plane/dialects/dialect.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import type { TurnRequest } from '#data-plane/turn/request.ts';

/** `request` for dialects whose answers do not repeat what was asked. */
export function readStream(
  dialect: Pick<Dialect, 'framing' | 'reader'>,
  pieces: readonly Buffer[],
  request?: TurnRequest,
): TurnEvent[] {
  const frames = dialect.framing.reader();
  const turn = dialect.reader(request);
  const events = pieces.flatMap((piece) => frames.push(piece)).flatMap((frame) => turn.push(frame));
  return [...events, ...frames.end().flatMap((frame) => turn.push(frame)), ...turn.end()];
}

export function tapStream(
  tap: StreamTap,
  pieces: readonly Buffer[],
): { readonly output: Buffer; readonly report: StreamReport; readonly isBroken: boolean } {
  // What a tap returns may be a view of what it was given.
  const passed = pieces.map((piece) => Buffer.from(tap.push(piece)));
  const { bytes, report } = tap.end();
  return { output: Buffer.concat([...passed, bytes]), report, isBroken: tap.isBroken };
}
