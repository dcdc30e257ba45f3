// Watches sound pass. Nothing in it can be read, so what is known is what the request says, and its end is where the
// connection says so.
import type { StreamReport, StreamTap } from '../dialects/dialect.ts';

const noBytes = Buffer.alloc(0);

/** `rawUsage`: what is counted here. */
export function soundTap(rawUsage: string): StreamTap {
  const report: StreamReport = { id: '', usage: undefined, rawUsage, error: undefined, complete: false };
  return Object.freeze<StreamTap>({
    endsWithConnection: true,
    isBroken: false,
    push: (bytes) => bytes,
    end: () => ({ bytes: noBytes, report }),
    report: () => report,
  });
}
