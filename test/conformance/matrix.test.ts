import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { conformanceMatrix } from './matrix.ts';

test('docs/conformance.md says what the gateway does', () => {
  const page = readFileSync(new URL('../../docs/conformance.md', import.meta.url), 'utf8');
  expect(page.split('<!-- generated -->')[1]?.trim()).toBe(conformanceMatrix().trim());
});
