import { describe, expect, test } from 'vitest';
import type { Capability } from '#shared/capabilities.ts';
import { compileAbilities, whyUnable } from './capabilities.ts';

describe('a deployment', () => {
  const wants = (inputTokens: number, ...needs: Capability[]) => ({ inputTokens, needs: new Set(needs) });

  test('of which nothing is said can do everything', () => {
    expect(compileAbilities({ contextTokens: 0n })).toBeUndefined();
    expect(whyUnable(undefined, wants(1e9, 'tools', 'audio'))).toBeUndefined();
    const onlySize = compileAbilities({ contextTokens: 8000n });
    expect(whyUnable(onlySize, wants(100, 'tools', 'audio'))).toBeUndefined();
  });

  test('can do what is said, and says what it cannot', () => {
    const abilities = compileAbilities({
      abilities: { names: ['tools', 'json_schema', 'a word of a later version'] },
      contextTokens: 0n,
    });
    expect(whyUnable(abilities, wants(10, 'tools', 'json', 'json_schema'))).toBeUndefined();
    expect(whyUnable(abilities, wants(10, 'tools', 'vision', 'audio'))).toEqual({
      kind: 'need',
      why: 'cannot do vision, audio',
    });
    const nothing = compileAbilities({ abilities: { names: [] }, contextTokens: 0n });
    expect(whyUnable(nothing, wants(10))).toBeUndefined();
    expect(whyUnable(nothing, wants(10, 'tools'))).toMatchObject({ why: 'cannot do tools' });
  });

  test('is passed over only for what surely does not fit', () => {
    const abilities = compileAbilities({ contextTokens: 8000n });
    expect(whyUnable(abilities, wants(9000))).toBeUndefined();
    expect(whyUnable(abilities, wants(12_000))).toEqual({
      kind: 'size',
      why: 'takes 8000 tokens, and the request has about 12000',
    });
  });
});
