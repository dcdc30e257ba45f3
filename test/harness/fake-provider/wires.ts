// Every API that the fake provider speaks; the path of a request says which.
import { chatWire, type WireFormat } from './answers.ts';
import { messagesWire } from './message-answers.ts';

const wires: readonly WireFormat[] = [chatWire, messagesWire];

/** Undefined where there is no such API. */
export function wireAt(path: string): WireFormat | undefined {
  return wires.find((wire) => wire.matches(path));
}
