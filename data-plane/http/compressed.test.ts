// Bodies in content codings, in both directions, over the real surface.
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import {
  brotliCompressSync,
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf } from '#test/harness/snapshots.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';
import { anthropic } from '../providers/anthropic.ts';

const KIB = 1024;

const { provider, gateway } = gatewayPerFile(({ provider }) => {
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  return {
    snapshot: plainSnapshot(provider, {
      providers: [claude],
      deployments: Array.from({ length: 30 }, (_, at) => deploymentOf(`model-number-${at}`, claude)),
    }),
    limits: { requestBodyBytesMax: 256 * KIB, lingerMs: 50 },
  };
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** As it is on the wire: nothing is asked for and nothing is unfolded behind the test's back. */
function send(method: string, path: string, headers: Record<string, string> = {}, body?: Buffer | string) {
  return new Promise<Answer>((resolve, reject) => {
    const request = httpRequest(gateway.url + path, {
      method,
      headers: { 'x-api-key': goodKey, ...headers },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) }),
      );
      response.on('error', reject);
    });
    request.end(body);
  });
}

function chat(model: string, headers: Record<string, string> = {}, more: object = {}) {
  const body = JSON.stringify({
    model,
    messages: [{ role: 'user', content: 'hello' }],
    max_tokens: 1000,
    ...more,
  });
  return send('POST', '/v1/chat/completions', { 'content-type': 'application/json', ...headers }, body);
}

const decoders = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };
const encoders = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync };
const codings = ['gzip', 'br', 'zstd'] as const;

describe('an answer', () => {
  test.each(codings)('is sent in %s where that is accepted', async (coding) => {
    for (const model of ['fake/chunks-500', 'claude/chunks-500']) {
      const plain = await chat(model);
      const coded = await chat(model, { 'accept-encoding': coding });
      expect([coded.status, coded.headers['content-encoding']]).toEqual([200, coding]);
      expect(Number(coded.headers['content-length'])).toBe(coded.body.length);
      expect(coded.body.length).toBeLessThan(plain.body.length / 2);
      const contentOf = (body: Buffer) =>
        (JSON.parse(body.toString()) as { choices: { message: object }[] }).choices[0]!.message;
      expect(contentOf(decoders[coding](coded.body))).toEqual(contentOf(plain.body));
      for (const { headers } of [plain, coded]) {
        expect(headers.vary).toBe('accept-encoding');
        expect(headers['x-signalbox-attempts']).toBe('1');
      }
    }
  });

  test('of our own making is coded too, and HEAD tells the same length', async () => {
    const headers = { 'accept-encoding': 'gzip' };
    const full = await send('GET', '/v1/models', headers);
    expect(JSON.parse(gunzipSync(full.body).toString())).toMatchObject({ object: 'list' });
    const head = await send('HEAD', '/v1/models', headers);
    for (const name of ['content-length', 'content-encoding', 'vary', 'content-type'])
      expect(head.headers[name]).toBe(full.headers[name]);
    expect(head.body).toHaveLength(0);
    const metrics = await send('GET', '/metrics', headers);
    expect(gunzipSync(metrics.body).toString()).toContain('signalbox_requests_total');
  });

  test('that is short is the same for everybody', async () => {
    const { headers } = await send('GET', '/livez', { 'accept-encoding': 'gzip' });
    expect([headers['content-encoding'], headers.vary]).toEqual([undefined, undefined]);
  });

  test('is never coded where it is a stream', async () => {
    for (const model of ['fake/chunks-500', 'claude/chunks-500']) {
      const { headers, body } = await chat(model, { 'accept-encoding': 'gzip' }, { stream: true });
      expect([headers['content-encoding'], headers.vary]).toEqual([undefined, undefined]);
      expect(body.toString()).toContain('data: [DONE]');
    }
  });

  test('is sent as it is where nothing that is accepted is known', async () => {
    const { status, headers, body } = await chat('fake/chunks-500', {
      'accept-encoding': 'deflate, identity;q=0',
    });
    expect([status, headers['content-encoding'], headers.vary]).toEqual([200, undefined, 'accept-encoding']);
    expect(JSON.parse(body.toString())).toMatchObject({ object: 'chat.completion' });
  });

  test('that is a refusal of the provider is coded like any other', async () => {
    const { status, headers, body } = await chat('fake/error-400', {
      'accept-encoding': 'gzip, identity;q=0',
    });
    expect([status, headers['content-encoding']]).toEqual([400, 'gzip']);
    expect(JSON.parse(gunzipSync(body).toString())).toHaveProperty('error');
  });

  test('is settled before it is sent, and lost on a client that leaves meanwhile', async () => {
    const before = gateway.ledger.entries.length;
    await Promise.allSettled(
      Array.from({ length: 20 }, async (_, at) => {
        const leaving = new AbortController();
        const answer = fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'x-api-key': goodKey, 'content-type': 'application/json', 'accept-encoding': 'br' },
          body: JSON.stringify({ model: 'fake/big-1mb', messages: [] }),
          signal: leaving.signal,
        });
        setTimeout(() => leaving.abort(), at * 3);
        await (await answer).arrayBuffer();
      }),
    );
    await expect.poll(() => gateway.gateway.inFlight).toBe(0);
    const entries = gateway.ledger.entries.slice(before);
    for (const { settlements } of entries) expect(settlements).toHaveLength(1);
    expect((await chat('ok')).status).toBe(200);
  });
});

describe('a request', () => {
  const body = JSON.stringify({ model: 'ok', messages: [{ role: 'user', content: 'hello'.repeat(100) }] });
  const json = { 'content-type': 'application/json' };

  test.each(codings)('in %s reaches the provider as it means', async (coding) => {
    provider.reset();
    const sent = encoders[coding](Buffer.from(body));
    const headers = { ...json, 'content-encoding': coding };
    const { status } = await send('POST', '/v1/chat/completions', headers, sent);
    expect(status).toBe(200);
    // Those who left a moment ago may still be arriving there.
    const request = provider.requests().find(({ body: received }) => received.toString() === body);
    expect(request).toBeDefined();
    expect(request!.headers).not.toHaveProperty('content-encoding');
  });

  test.each(codings)('in %s that unfolds to too much is 413', async (coding) => {
    const sent = encoders[coding](Buffer.alloc(4 * KIB * KIB, 0x20));
    expect(sent.length).toBeLessThan(16 * KIB);
    const headers = { ...json, 'content-encoding': coding };
    const answer = await send('POST', '/v1/chat/completions', headers, sent);
    expect([answer.status, answer.body.toString()]).toEqual([
      413,
      expect.stringContaining('request_too_large'),
    ]);
  });

  test.each(codings)('that is not in %s as it says is 400', async (coding) => {
    for (const sent of [Buffer.from(body), encoders[coding](Buffer.from(body)).subarray(0, -4)]) {
      const headers = { ...json, 'content-encoding': coding };
      const answer = await send('POST', '/v1/chat/completions', headers, sent);
      expect(answer.status).toBe(400);
      expect(answer.body.toString()).toContain(`\\"${coding}\\"`);
    }
  });

  test.each(['deflate', 'gzip, gzip', 'compress', ''])(
    'in %j is 415 and told what is known',
    async (coding) => {
      const headers = { ...json, 'content-encoding': coding };
      const answer = await send('POST', '/v1/chat/completions', headers, body);
      expect(answer.status).toBe(415);
      expect(answer.body.toString()).toContain('zstd, br, gzip');
    },
  );
});
