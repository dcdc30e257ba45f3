// Pictures and sound over the real surface: forms reach the provider as they came, sound passes while it is being made, and what
// a provider charges by is written down where it says nothing itself.
import { describe, expect, test, vi } from 'vitest';
import { compatible } from '#data-plane/providers/compatible.ts';
import { errorOf, goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';

const kind = compatible('openai', {
  services: [
    'images-generations',
    'images-edits',
    'images-variations',
    'audio-transcriptions',
    'audio-translations',
    'audio-speech',
  ],
});
const scripts = [
  'chunks-20',
  'chunks-20.cut-after-5',
  'chunks-50.pause-20ms',
  'no-usage',
  'error-500',
  'cut-after-0',
];

const { provider, gateway } = gatewayPerFile(({ provider, backup }) => {
  const fake = providerOf('media', { kind, baseUrl: provider.baseUrl });
  const second = providerOf('second', { kind, baseUrl: backup.baseUrl });
  return {
    snapshot: plainSnapshot(provider, {
      deployments: [
        deploymentOf('public', fake, { upstreamModel: 'ok' }),
        deploymentOf('backup', second, { upstreamModel: 'ok' }),
        ...scripts.map((script) => deploymentOf(script, fake)),
      ],
      routes: [
        routeOf('over-error', ['error-500', 'backup']),
        routeOf('over-cut', ['cut-after-0', 'backup']),
      ],
    }),
  };
});

function json(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
}

const sound = new Uint8Array([0, 13, 10, 45, 45, 255]);

/** The bytes of a form, so that they can be compared with what arrives. */
async function form(fields: Readonly<Record<string, string>>, file = 'file') {
  const data = new FormData();
  data.append(file, new Blob([sound], { type: 'audio/mpeg' }), 'speech.mp3');
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  const written = new Response(data);
  return { type: written.headers.get('content-type')!, bytes: Buffer.from(await written.arrayBuffer()) };
}

async function postForm(path: string, fields: Readonly<Record<string, string>>, file?: string) {
  const { type, bytes } = await form(fields, file);
  const response = await fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${goodKey}`, 'content-type': type },
    body: bytes,
  });
  return { response, bytes, type };
}

function settlement() {
  return gateway.ledger.entries.at(-1)!.settlements[0]!;
}

function rawUsage(): unknown {
  return JSON.parse(settlement().rawUsage);
}

describe('a form', () => {
  test.each([
    ['/v1/audio/transcriptions', 'file'],
    ['/v1/audio/translations', 'file'],
    ['/v1/images/edits', 'image[]'],
    ['/v1/images/variations', 'image'],
  ])('to %s arrives as it was sent, but for the model', async (path, file) => {
    const { response, bytes, type } = await postForm(path, { prompt: 'é', model: 'public', n: '1' }, file);
    expect(response.status).toBe(200);
    const [request] = provider.requests();
    expect(request!.headers['content-type']).toBe(type);
    const expected = Buffer.from(bytes.toString('latin1').replace('\r\npublic\r\n', '\r\nok\r\n'), 'latin1');
    expect(request!.body.equals(expected)).toBe(true);
    expect(request!.path).toBe(path);
  });

  test('loses what is meant for the gateway', async () => {
    await postForm('/v1/audio/transcriptions', { 'x-gateway': '{"tags":["calls"]}', model: 'public' });
    expect(provider.requests()[0]!.body.includes('x-gateway')).toBe(false);
    expect(gateway.ledger.entries.at(-1)!.intent.tags).toEqual(['calls']);
  });

  test('is needed where files are sent', async () => {
    const response = await json('/v1/audio/transcriptions', { model: 'public' });
    expect([response.status, (await errorOf(response)).code]).toEqual([415, 'unsupported_media_type']);
  });

  test('that cannot be read is refused', async () => {
    const response = await fetch(`${gateway.url}/v1/audio/transcriptions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'multipart/form-data; boundary=b' },
      body: '--b\r\nx\r\n',
    });
    expect([response.status, (await errorOf(response)).code]).toEqual([400, 'invalid_request']);
    expect(provider.requests()).toEqual([]);
  });
});

describe('transcripts', () => {
  test.each([
    ['json', 'application/json', '{"text":"What was said."'],
    ['text', 'text/plain', 'What was said.\n'],
    ['srt', 'text/plain', '1\n00:00'],
    ['vtt', 'text/plain', 'WEBVTT'],
    ['verbose_json', 'application/json', '{"text":"What was said.","duration":2'],
  ])('in the form %s pass as they are', async (format, type, beginning) => {
    const { response } = await postForm('/v1/audio/transcriptions', {
      model: 'public',
      response_format: format,
    });
    expect(response.headers.get('content-type')).toContain(type);
    expect(await response.text()).toContain(beginning);
    expect(settlement().outcome).toBe('completed');
  });

  test('are written down in tokens of sound and of words', async () => {
    await postForm('/v1/audio/transcriptions', { model: 'public' });
    expect(settlement().usage).toMatchObject({ input: 2, inputAudio: 18, output: 3 });
  });

  test('or in seconds, as the provider says', async () => {
    await postForm('/v1/audio/transcriptions', { model: 'no-usage' });
    expect(settlement().usage).toBeUndefined();
    expect(rawUsage()).toEqual({ type: 'duration', seconds: 2 });
  });

  test('pass as events where they were asked for, and are metered', async () => {
    const { response } = await postForm('/v1/audio/transcriptions', { model: 'public', stream: 'true' });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(await response.text()).toContain('transcript.text.done');
    expect(settlement()).toMatchObject({
      outcome: 'completed',
      usage: { input: 2, inputAudio: 18, output: 3 },
    });
    expect(gateway.ledger.entries.at(-1)!.intent.streamed).toBe(true);
  });

  test('come whole from a model that overlooks the wish for events', async () => {
    const { response } = await postForm('/v1/audio/transcriptions', { model: 'no-usage', stream: 'true' });
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toMatchObject({ text: 'What was said.' });
    expect(settlement().outcome).toBe('completed');
  });
});

describe('pictures', () => {
  test('are written down in the provider’s tokens', async () => {
    const response = await json('/v1/images/generations', { model: 'public', prompt: 'a red fox', n: 2 });
    expect(await response.json()).toMatchObject({ data: [{}, {}] });
    const [bill] = provider.bill();
    expect(settlement().usage).toMatchObject({ input: bill!.promptTokens, output: bill!.completionTokens });
  });

  test('or, where it says nothing, counted with what they are priced by', async () => {
    const body = { model: 'no-usage', prompt: 'x', n: 2, size: '1024x1024', quality: 'hd' };
    await json('/v1/images/generations', body);
    expect(settlement().usage).toBeUndefined();
    expect(rawUsage()).toEqual({ counted: { images: 2, size: '1024x1024', quality: 'hd' } });
    await postForm('/v1/images/edits', { model: 'no-usage', prompt: 'x' }, 'image');
    expect(rawUsage()).toEqual({ counted: { images: 1 } });
  });

  test.each(['/v1/images/generations', '/v1/images/edits'])(
    'from %s come in parts, metered',
    async (path) => {
      const response = await json(path, { model: 'public', prompt: 'x', stream: true, partial_images: 2 });
      const text = await response.text();
      expect(text.match(/partial_image"/g)).toHaveLength(2);
      expect(settlement()).toMatchObject({ outcome: 'completed', usage: { output: 100 } });
    },
  );

  test('that break off say so in the stream', async () => {
    provider.setBehaviour('cut-after-2');
    const response = await json('/v1/images/generations', { model: 'public', prompt: 'x', stream: true });
    expect((await response.text()).split('\n\n').at(-2)).toMatch(
      /^event: error\ndata: \{"error":\{.*"code":"upstream_truncated"/,
    );
    expect(settlement()).toMatchObject({ outcome: 'failed', errorCode: 'upstream_truncated' });
  });
});

describe('speech', () => {
  const body = { voice: 'alloy', input: 'Grüße 👋' };

  test('passes byte for byte, counted in characters', async () => {
    const response = await json('/v1/audio/speech', { ...body, model: 'chunks-20' });
    expect(response.headers.get('content-type')).toBe('audio/mpeg');
    expect(response.headers.get('content-length')).toBeNull();
    const expected = Buffer.concat(Array.from({ length: 20 }, (_, index) => Buffer.alloc(64, index)));
    expect(Buffer.from(await response.arrayBuffer()).equals(expected)).toBe(true);
    expect(settlement()).toMatchObject({ outcome: 'completed', usage: undefined });
    expect(rawUsage()).toEqual({ counted: { input_characters: 7 } });
  });

  test('that breaks off breaks off for the client too', async () => {
    const response = await json('/v1/audio/speech', { ...body, model: 'chunks-20.cut-after-5' });
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow();
    expect(settlement()).toMatchObject({ outcome: 'failed', errorCode: 'upstream_truncated' });
    expect(rawUsage()).toEqual({ counted: { input_characters: 7 } });
  });

  test('is stopped when nobody listens any more', async () => {
    const leaving = new AbortController();
    const response = await json(
      '/v1/audio/speech',
      { ...body, model: 'chunks-50.pause-20ms' },
      leaving.signal,
    );
    await response.body!.getReader().read();
    leaving.abort();
    await vi.waitFor(() => expect(provider.bill()).toMatchObject([{ aborted: true }]));
    await vi.waitFor(() => expect(settlement()).toMatchObject({ outcome: 'cancelled' }));
  });

  test('as events is metered by what they say', async () => {
    const response = await json('/v1/audio/speech', { ...body, model: 'public', stream_format: 'sse' });
    expect(await response.text()).toContain('speech.audio.done');
    const [bill] = provider.bill();
    expect(settlement().usage).toMatchObject({
      input: bill!.promptTokens,
      output: 0,
      outputAudio: bill!.completionTokens,
    });
  });

  test.each(['over-error', 'over-cut'])('fails over before its first byte (%s)', async (model) => {
    const response = await json('/v1/audio/speech', { ...body, model });
    expect(response.headers.get('x-signalbox-provider')).toBe('second');
    expect((await response.arrayBuffer()).byteLength).toBe(5 * 64);
  });
});
