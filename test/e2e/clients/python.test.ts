// The Python libraries, as the others: openai, anthropic and langchain-openai against every kind of upstream.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pythonWith, runPython } from '#test/harness/python.ts';
import { question, toolName, toolSchema } from './client.ts';
import { modelNames, startUpstreams, type Upstreams } from './upstreams.ts';

const packages = ['openai==3.52.0', 'anthropic==2.11.0', 'langchain-openai==1.7.3'];
const python = await pythonWith(packages);

let upstreams: Upstreams;

beforeAll(async () => {
  upstreams = await startUpstreams();
});

afterAll(async () => {
  await upstreams?.remove();
});

interface Asked {
  readonly texts: readonly string[];
  readonly tokens: readonly number[];
  readonly call: { readonly name: string; readonly input: unknown };
}

test.skipIf(python === undefined)('every library reads every upstream', async () => {
  const { url, key } = upstreams.up;
  const script = join(import.meta.dirname, 'ask.py');
  const given = { url, key: key(), question, toolName, toolSchema, models: modelNames };
  const answers = (await runPython(python!, script, given)) as Record<string, Record<string, Asked>>;
  for (const [library, byModel] of Object.entries(answers)) {
    expect({ library, models: Object.keys(byModel) }).toEqual({ library, models: modelNames });
    for (const [model, { texts, tokens, call }] of Object.entries(byModel)) {
      expect({ library, model, same: texts[0] === texts[1] && tokens[0] === tokens[1] }).toEqual({
        library,
        model,
        same: true,
      });
      expect(texts[0]).not.toBe('');
      expect(call).toEqual({ name: toolName, input: expect.objectContaining({ city: expect.any(String) }) });
    }
  }
});
