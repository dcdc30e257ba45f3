import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { type RequestOptions, readRequestOptions } from './request-options.ts';

const noDefaults = { dropsUnsupported: false, queuePriority: 5 };

function read(gateway: unknown, headers: Record<string, string> = {}, defaults = noDefaults): RequestOptions {
  return readRequestOptions(gateway, headers, defaults);
}

function refusal(
  gateway: unknown,
  headers: Record<string, string> = {},
  defaults = noDefaults,
): SignalboxError {
  try {
    read(gateway, headers, defaults);
  } catch (thrown) {
    if (thrown instanceof SignalboxError) return thrown;
    throw thrown;
  }
  throw new RangeError('it was accepted');
}

describe('what a client says to the gateway', () => {
  test('is nothing as a rule', () => {
    expect(read(undefined)).toEqual({
      dropsUnsupported: false,
      queuePriority: 5,
      timeoutMs: undefined,
      wantsTrail: false,
      provider: undefined,
      metadata: {},
      tags: [],
    });
    expect(read({})).toEqual(read(undefined));
  });

  test.each<[unknown, Partial<RequestOptions>]>([
    [{ timeout: 1500 }, { timeoutMs: 1500 }],
    [{ timeout: 0.5 + 1 }, { timeoutMs: 2 }],
    [{ timeout: '30s' }, { timeoutMs: 30_000 }],
    [{ timeout: '1.5m' }, { timeoutMs: 90_000 }],
    [{ timeout: '250ms' }, { timeoutMs: 250 }],
    [{ timeout: '24h' }, { timeoutMs: 86_400_000 }],
    [{ provider: 'azure-eu' }, { provider: 'azure-eu' }],
    [{ metadata: { feature: 'search', user_id: '7' } }, { metadata: { feature: 'search', user_id: '7' } }],
    [{ metadata: {} }, { metadata: {} }],
    [{ tags: ['a', 'b, c', 'a'] }, { tags: ['a', 'b, c'] }],
    [{ drop_unsupported: true }, { dropsUnsupported: true }],
    [{ priority: 5 }, { queuePriority: 5 }],
    [{ priority: 9 }, { queuePriority: 9 }],
    [{ cache: false, tags: [] }, { tags: [] }],
    [{ cache: { mode: 'bypass' } }, {}],
  ])('may be %j', (gateway, options) => {
    expect(read(gateway)).toEqual({ ...read(undefined), ...options });
  });

  test.each<[Record<string, string>, Partial<RequestOptions>]>([
    [{ 'x-signalbox-timeout': '1500' }, { timeoutMs: 1500 }],
    [{ 'x-signalbox-timeout': ' 2s ' }, { timeoutMs: 2000 }],
    [{ 'x-signalbox-provider': 'azure-eu' }, { provider: 'azure-eu' }],
    [{ 'x-signalbox-metadata': '{"feature":"s\\u00fc\\u00df"}' }, { metadata: { feature: 'süß' } }],
    [{ 'x-signalbox-tags': 'nightly, , batch 7,nightly' }, { tags: ['nightly', 'batch 7'] }],
    [{ 'x-signalbox-tags': '' }, { tags: [] }],
    [{ 'x-signalbox-drop-unsupported': 'true' }, { dropsUnsupported: true }],
    [{ 'x-signalbox-priority': ' 7 ' }, { queuePriority: 7 }],
    [{ 'x-signalbox-cache': 'false' }, {}],
    [{ 'x-signalbox-cache': 'bypass' }, {}],
    [{ 'x-request-id': 'x' }, {}],
  ])('may come in headers: %j', (headers, options) => {
    expect(read(undefined, headers)).toEqual({ ...read(undefined), ...options });
  });

  test('counts as the body has it where both say something', () => {
    const headers = { 'x-signalbox-tags': 'h', 'x-signalbox-timeout': '7s', 'x-signalbox-cache': 'true' };
    expect(read({ tags: ['b'], cache: false }, headers)).toMatchObject({ tags: ['b'], timeoutMs: 7000 });
  });

  test('comes before what its key says', () => {
    const defaults = { ...noDefaults, dropsUnsupported: true };
    expect(read(undefined, {}, defaults).dropsUnsupported).toBe(true);
    expect(read({ drop_unsupported: false }, {}, defaults).dropsUnsupported).toBe(false);
    expect(read(undefined, { 'x-signalbox-drop-unsupported': 'false' }, defaults).dropsUnsupported).toBe(
      false,
    );
  });

  test('may be less urgent than its key, and never more', () => {
    const priorities = Array.from({ length: 10 }, (_, priority) => priority);
    for (const queuePriority of priorities) {
      const defaults = { ...noDefaults, queuePriority };
      expect(read(undefined, {}, defaults).queuePriority).toBe(queuePriority);
      for (const priority of priorities) {
        const header = { 'x-signalbox-priority': `${priority}` };
        if (priority >= queuePriority) {
          expect(read({ priority }, {}, defaults).queuePriority).toBe(priority);
          expect(read(undefined, header, defaults).queuePriority).toBe(priority);
        } else {
          expect(refusal({ priority }, {}, defaults).param).toBe('x-gateway.priority');
          expect(refusal(undefined, header, defaults).param).toBe('x-signalbox-priority');
        }
      }
    }
  });

  test('that is more urgent than its key is told what the key allows and who can change that', () => {
    expect(refusal({ priority: 2 }).message).toBe(
      'The field "x-gateway.priority" is 2, which is more urgent than this API key allows. Send a number from 5 to 9, leave it out, or have the operator give the key a lower "queue_priority".',
    );
  });

  test.each<[unknown, string]>([
    [null, 'x-gateway'],
    [[], 'x-gateway'],
    ['timeout', 'x-gateway'],
    [{ timeout: '30' }, 'x-gateway.timeout'],
    [{ timeout: 0 }, 'x-gateway.timeout'],
    [{ timeout: -5 }, 'x-gateway.timeout'],
    [{ timeout: '25h' }, 'x-gateway.timeout'],
    [{ timeout: '1e3ms' }, 'x-gateway.timeout'],
    [{ timeout: null }, 'x-gateway.timeout'],
    [{ timeout: true }, 'x-gateway.timeout'],
    [{ provider: '' }, 'x-gateway.provider'],
    [{ provider: 7 }, 'x-gateway.provider'],
    [{ provider: 'x'.repeat(129) }, 'x-gateway.provider'],
    [{ metadata: [] }, 'x-gateway.metadata'],
    [{ metadata: { a: 7 } }, 'x-gateway.metadata.a'],
    [{ metadata: { a: null } }, 'x-gateway.metadata.a'],
    [{ metadata: { a: 'x'.repeat(513) } }, 'x-gateway.metadata.a'],
    [{ metadata: { a: '\ud800' } }, 'x-gateway.metadata.a'],
    [{ metadata: { '': 'x' } }, 'x-gateway.metadata'],
    [{ metadata: { 'a\nb': 'x' } }, 'x-gateway.metadata'],
    [{ metadata: { ['n'.repeat(65)]: 'x' } }, 'x-gateway.metadata'],
    [
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`n${at}`, ''])) },
      'x-gateway.metadata',
    ],
    [{ tags: 'a' }, 'x-gateway.tags'],
    [{ tags: [7] }, 'x-gateway.tags[0]'],
    [{ tags: ['a', ''] }, 'x-gateway.tags[1]'],
    [{ tags: ['a\r\nb'] }, 'x-gateway.tags[0]'],
    [{ tags: ['x'.repeat(65)] }, 'x-gateway.tags[0]'],
    [{ tags: Array.from({ length: 17 }, (_, at) => `t${at}`) }, 'x-gateway.tags'],
    [{ drop_unsupported: 'true' }, 'x-gateway.drop_unsupported'],
    [{ priority: 4 }, 'x-gateway.priority'],
    [{ priority: 10 }, 'x-gateway.priority'],
    [{ priority: -1 }, 'x-gateway.priority'],
    [{ priority: 5.5 }, 'x-gateway.priority'],
    [{ priority: '7' }, 'x-gateway.priority'],
    [{ priority: 'high' }, 'x-gateway.priority'],
    [{ priority: null }, 'x-gateway.priority'],
    [{ cache: true }, 'x-gateway.cache'],
    [{ cache: { ttl: 60 } }, 'x-gateway.cache'],
    [{ cache: 'no' }, 'x-gateway.cache'],
    [{ tag: ['a'] }, 'x-gateway.tag'],
    [{ constructor: 1 }, 'x-gateway.constructor'],
    [JSON.parse('{"__proto__":{"tags":[]}}'), 'x-gateway.__proto__'],
  ])('is refused by its name: %j', (gateway, param) => {
    const error = refusal(gateway);
    expect(error).toMatchObject({ code: 'invalid_request', param });
    expect(error.message).toContain(param);
  });

  test.each<[Record<string, string>, string]>([
    [{ 'x-signalbox-timeout': 'soon' }, 'x-signalbox-timeout'],
    [{ 'x-signalbox-timeout': '' }, 'x-signalbox-timeout'],
    [{ 'x-signalbox-provider': '' }, 'x-signalbox-provider'],
    [{ 'x-signalbox-metadata': 'feature=search' }, 'x-signalbox-metadata'],
    [{ 'x-signalbox-metadata': '{"a":1}' }, 'x-signalbox-metadata.a'],
    [{ 'x-signalbox-tags': 'caf\u00e9' }, 'x-signalbox-tags'],
    [{ 'x-signalbox-drop-unsupported': 'yes' }, 'x-signalbox-drop-unsupported'],
    [{ 'x-signalbox-priority': '4' }, 'x-signalbox-priority'],
    [{ 'x-signalbox-priority': '10' }, 'x-signalbox-priority'],
    [{ 'x-signalbox-priority': '-5' }, 'x-signalbox-priority'],
    [{ 'x-signalbox-priority': 'low' }, 'x-signalbox-priority'],
    [{ 'x-signalbox-priority': '' }, 'x-signalbox-priority'],
    [{ 'x-signalbox-drop-unsupported': 'true, true' }, 'x-signalbox-drop-unsupported'],
    [{ 'x-signalbox-cache': 'true' }, 'x-signalbox-cache'],
    [{ 'x-signalbox-cache': 'semantic' }, 'x-signalbox-cache'],
    [{ 'x-signalbox-timout': '3s' }, 'x-signalbox-timout'],
  ])('is refused by the name of its header: %j', (headers, param) => {
    const error = refusal(undefined, headers);
    expect(error).toMatchObject({ code: 'invalid_request', param });
    expect(error.message).toContain(`The header "${param}"`);
  });

  test('is corrected where it was nearly right', () => {
    expect(refusal({ tag: [] }).message).toContain('did you mean "tags"?');
    expect(refusal({ 'drop-unsupported': true }).message).toContain('did you mean "drop_unsupported"?');
    expect(refusal(undefined, { 'x-signalbox-timout': '3s' }).message).toContain('"x-signalbox-timeout"');
  });

  test('asking for kept answers is told that there are none', () => {
    expect(refusal({ cache: true }).message).toContain('which this version does not do');
  });

  test('whatever it is, is read or refused, and what is read keeps the bounds', () => {
    const names = ['timeout', 'provider', 'metadata', 'tags', 'drop_unsupported', 'priority', 'cache'];
    const member = fc.constantFrom(...names);
    const gateway = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(
        fc.oneof(member, fc.string()),
        fc.oneof(
          fc.jsonValue(),
          fc.array(fc.string({ unit: 'binary' })),
          fc.dictionary(fc.string(), fc.string()),
        ),
      ),
    );
    fc.assert(
      fc.property(gateway, (said) => {
        try {
          const { timeoutMs = 1, metadata, tags, queuePriority } = read(said);
          expect([5, 6, 7, 8, 9]).toContain(queuePriority);
          expect(timeoutMs).toBeGreaterThanOrEqual(1);
          expect(Object.keys(metadata).length).toBeLessThanOrEqual(16);
          expect(tags.length).toBeLessThanOrEqual(16);
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'invalid_request' });
        }
      }),
      { seed: 7, numRuns: 1000 },
    );
  });
});
