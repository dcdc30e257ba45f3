// An error as a realtime client knows it, and the code with which its connection closes when the session cannot go on.
import type { ErrorCode, SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';

/** `cause`: the client's own id of the event at fault. */
export function errorEvent(error: SignalboxError, cause: string | undefined): string {
  return JSON.stringify({
    type: 'error',
    event_id: prefixedId('event'),
    error: {
      type: error.kind.type,
      code: error.code,
      message: error.message,
      param: error.param ?? null,
      event_id: cause ?? null,
    },
  });
}

/** The numbers of RFC 6455 and its registry: try again elsewhere, later, or not at all. */
const closeCodes: Readonly<Partial<Record<ErrorCode, number>>> = {
  session_expired: 1000,
  deadline_exceeded: 1000,
  client_closed: 1008,
  request_too_large: 1009,
  internal: 1011,
  draining: 1012,
  ledger_unavailable: 1013,
  upstream_invalid: 1014,
  upstream_truncated: 1014,
};
const UNEXPECTED = 1011;

export function closeCodeOf(error: SignalboxError): number {
  return closeCodes[error.code] ?? UNEXPECTED;
}

const NORMAL = 1000;
const GOING_AWAY = 1001;
const ABNORMAL = 1006;
const NO_CODE = 1005;

/** What one side's closing means to the other; some codes stand for "nothing was said" and cannot be sent. */
export function relayedCode(code: number): number {
  if (code === NO_CODE) return NORMAL;
  if (code === ABNORMAL) return GOING_AWAY;
  const isSendable = (code >= 1000 && code <= 1014 && code !== 1004) || (code >= 3000 && code <= 4999);
  return isSendable ? code : UNEXPECTED;
}

/** Whether the peer said goodbye as it should. */
export function isOrderly(code: number): boolean {
  return code === NORMAL || code === GOING_AWAY || code === NO_CODE;
}
