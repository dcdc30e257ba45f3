// Starts the fake provider as a process of its own and talks to its control endpoints.
import { fileURLToPath } from 'node:url';
import { type ChildHandle, startProcess } from '../process.ts';
import type { BehaviourTarget, BilledCall, RecordedRequest } from './index.ts';

export interface FakeProviderProcess {
  readonly baseUrl: string;
  readonly port: number;
  readonly process: ChildHandle;
  bill(): Promise<readonly BilledCall[]>;
  requests(): Promise<readonly RecordedRequest[]>;
  load(): Promise<{ accepted: number; open: number; inFlight: number }>;
  setBehaviour(script: string, target?: BehaviourTarget): Promise<void>;
  reset(): Promise<void>;
  dropConnections(): Promise<void>;
  stop(): Promise<void>;
}

export async function startFakeProviderProcess(
  options: { readonly port?: number; readonly behaviour?: string; readonly requiredKey?: string } = {},
): Promise<FakeProviderProcess> {
  const args = [fileURLToPath(new URL('./main.ts', import.meta.url)), '--port', String(options.port ?? 0)];
  if (options.behaviour !== undefined) args.push('--behaviour', options.behaviour);
  if (options.requiredKey !== undefined) args.push('--key', options.requiredKey);
  const child = startProcess({ name: 'fake provider', command: process.execPath, args });
  const [, baseUrl = ''] = await child.waitForOutput(/fake provider at (\S+)/);
  const ask = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await fetch(new URL(path, baseUrl), {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    const result = (await answer.json()) as T & { error?: string };
    if (result.error !== undefined) throw new Error(result.error);
    return result;
  };
  return {
    baseUrl,
    port: Number(new URL(baseUrl).port),
    process: child,
    bill: () => ask('GET', '/_bill'),
    requests: async () => {
      const rows = await ask<(Omit<RecordedRequest, 'body'> & { body: string })[]>('GET', '/_requests');
      return rows.map((row) => ({ ...row, body: Buffer.from(row.body, 'base64') }));
    },
    load: () => ask('GET', '/_load'),
    setBehaviour: async (script, target) => {
      await ask('POST', '/_behaviour', { script, ...target });
    },
    reset: async () => {
      await ask('POST', '/_reset');
    },
    dropConnections: async () => {
      await ask('POST', '/_drop');
    },
    stop: () => child.stop(),
  };
}
