// Who may change what. Every object has one source; a change from another source is refused, passed over or takes the
// object over, as this table says, so that a file and the API never silently undo each other.
import { SignalboxError } from '#shared/errors.ts';

export type Source = 'api' | 'file' | 'environment' | 'built-in';

/** `refuse` becomes `take` when the caller says take_over. */
type Verdict = 'take' | 'refuse' | 'leave';

/** By who changes, then by who manages the object now. */
const verdicts: Readonly<Record<Source, Readonly<Record<Source, Verdict>>>> = {
  api: { api: 'take', file: 'refuse', environment: 'refuse', 'built-in': 'take' },
  file: { api: 'refuse', file: 'take', environment: 'take', 'built-in': 'take' },
  environment: { api: 'leave', file: 'leave', environment: 'take', 'built-in': 'leave' },
  'built-in': { api: 'leave', file: 'leave', environment: 'leave', 'built-in': 'leave' },
};

const managers: Readonly<Record<Source, string>> = {
  api: 'through the API',
  file: 'by the configuration file',
  environment: 'by the environment of the control plane',
  'built-in': 'by the product',
};

const remedies: Readonly<Record<Source, string>> = {
  api: 'To manage it through the API from now on, repeat the request with ?take_over=true.',
  file:
    'To manage it by the file from now on, send POST /api/v1/configuration/file?take_over=true; to keep it ' +
    'where it is, take it out of the file.',
  environment: '',
  'built-in': '',
};

export interface Claim {
  readonly by: Source;
  readonly takeOver: boolean;
  readonly what: string;
  /** Who manages the object; undefined when there is none yet. */
  readonly owner: Source | undefined;
}

/** Whether to go on with a change (true) or pass the object over (false); throws when it is managed elsewhere. */
export function mayChange({ by, takeOver, what, owner }: Claim): boolean {
  const verdict = owner === undefined ? 'take' : verdicts[by][owner];
  if (verdict !== 'refuse' || takeOver) return verdict !== 'leave';
  throw new SignalboxError('managed_elsewhere', `${what} is managed ${managers[owner!]}. ${remedies[by]}`);
}
