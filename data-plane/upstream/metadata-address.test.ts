import { afterEach, beforeEach, expect, test } from 'vitest';
import { answerOf, type RawServer, startRawServer } from '#test/harness/raw-server.ts';
import { observe, originAt } from '#test/harness/upstream-exchange.ts';
import { createUpstreamClient, type Origin, type UpstreamClient } from './client.ts';

// The one address that is excused is a loopback address here: like a metadata address, it may not be dialled otherwise.
const address = '127.0.0.1';
let server: RawServer;
let client: UpstreamClient;
let resolved: readonly string[];

beforeEach(async () => {
  server = await startRawServer({ onData: ({ socket }) => socket.write(answerOf('ok')) });
  client = createUpstreamClient({ resolve: async () => resolved });
});
afterEach(async () => {
  client.close();
  await server.stop();
});

const guarded = (change: Partial<Origin> = {}): Origin =>
  originAt(server.port, { allowPrivateNetwork: false, ...change });
const codeOf = async (origin: Origin) => {
  const { code, status } = await observe(client, { origin }).over;
  return code ?? status;
};

test('the address that an origin is excused for may be dialled', async () => {
  expect(await codeOf(guarded({ metadataAddress: address }))).toBe(200);
});

test('it is no excuse for any other address, under whatever name', async () => {
  expect(await codeOf(guarded({ metadataAddress: '127.0.0.2' }))).toBe('upstream_forbidden_address');
  resolved = [address, '127.0.0.2'];
  const named = guarded({ host: 'metadata.test', metadataAddress: address });
  expect(await codeOf(named)).toBe('upstream_forbidden_address');
  resolved = [address];
  expect(await codeOf(named)).toBe(200);
});

test('it is no excuse for an origin of the same place without one, even where a connection is open', async () => {
  expect(await codeOf(guarded({ metadataAddress: address }))).toBe(200);
  expect(await codeOf(guarded())).toBe('upstream_forbidden_address');
  expect(server.connections).toHaveLength(1);
});
