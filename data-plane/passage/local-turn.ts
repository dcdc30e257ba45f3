// A turn that is answered in this process: the request is decoded, the answer arrives as events, and the client's writer turns
// them into its dialect, piece by piece or as a whole body.
import type { BodyReport } from '../dialects/dialect.ts';
import type { LocalAnswer } from '../providers/provider.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { TurnEvent } from '../turn/events.ts';
import type { LocalPassage, LocalPiece } from './task.ts';
import type { TurnAsked } from './turn-passage.ts';

const noBytes = Buffer.alloc(0);
const nothingKnown: BodyReport = Object.freeze({ id: '', usage: undefined, rawUsage: '', error: undefined });

export function localTurn(asked: TurnAsked, answer: LocalAnswer, deployment: Deployment): LocalPassage {
  const { dialect, head } = asked;
  const request = dialect.decode(head);
  const events = (signal: AbortSignal) => answer(request, { model: deployment.upstreamModel, signal });
  return {
    kind: 'local',
    dropped: [],
    contentType: head.stream ? dialect.framing.contentType : 'application/json',
    run: (signal) => {
      const write = head.stream ? streamWriter(asked, request) : bodyWriter(asked, request);
      return pieces(events(signal), write);
    },
  };
}

async function* pieces(
  events: AsyncIterable<TurnEvent>,
  write: (event: TurnEvent) => Buffer,
): AsyncIterable<LocalPiece> {
  let report = nothingKnown;
  for await (const event of events) {
    report = noted(report, event);
    const isLast = event.type === 'turn-end' || event.type === 'turn-error';
    yield { bytes: event.type === 'turn-error' ? noBytes : write(event), report, isLast };
    if (isLast) return;
  }
}

function noted(report: BodyReport, event: TurnEvent): BodyReport {
  if (event.type === 'turn-start') return { ...report, id: event.id };
  if (event.type === 'usage') return { ...report, usage: event.usage, rawUsage: event.raw };
  return event.type === 'turn-error' ? { ...report, error: event.error } : report;
}

type Decoded = ReturnType<TurnAsked['dialect']['decode']>;

function streamWriter({ dialect, head }: TurnAsked, request: Decoded): (event: TurnEvent) => Buffer {
  const writer = dialect.writer({ wantsUsage: head.wantsUsage, request });
  return (event) => dialect.framing.write(writer.push(event));
}

function bodyWriter({ dialect }: TurnAsked, request: Decoded): (event: TurnEvent) => Buffer {
  const seen: TurnEvent[] = [];
  return (event) => {
    seen.push(event);
    return event.type === 'turn-end' ? Buffer.from(JSON.stringify(dialect.render(seen, request))) : noBytes;
  };
}
