// Every API that the fake provider speaks; the path of a request says which.
import { chatWire, type WireFormat } from './answers.ts';
import { azureWire } from './azure-answers.ts';
import { cohereWire } from './cohere-answers.ts';
import { completionWire } from './completion-answers.ts';
import { converseWire } from './converse-answers.ts';
import { geminiWire } from './gemini-answers.ts';
import { messagesWire } from './message-answers.ts';
import { responsesWire } from './response-answers.ts';
import { vertexClaudeWire } from './vertex-claude-answers.ts';

const wires: readonly WireFormat[] = [
  azureWire,
  vertexClaudeWire,
  chatWire,
  responsesWire,
  messagesWire,
  converseWire,
  completionWire,
  cohereWire,
  geminiWire,
];

/** Undefined where there is no such API. */
export function wireAt(path: string): WireFormat | undefined {
  return wires.find((wire) => wire.matches(path));
}
