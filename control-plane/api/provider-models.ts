// Whether a provider works and which models it has, asked by a data plane. Both cost nothing at the vendor.
import { z } from 'zod';
import type { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { ProviderCheck } from '../services/provider-check.ts';
import type { ApiPlugin } from './plugin.ts';

const NAME_LENGTH_MAX = 1024;
const byName = z.object({ name: z.string().min(1).max(NAME_LENGTH_MAX) });
const query = z.strictObject({
  node: z
    .string()
    .min(1)
    .max(limits.nameLengthMax)
    .optional()
    .describe('Id of the data plane that shall ask; any that is connected when left out.'),
});

const nodeSchema = z
  .object({ id: z.string(), region: z.string() })
  .describe('The data plane that asked the provider.');
const latency = z.number().describe('How long the data plane took to find out, in milliseconds.');

const providerModelsSchema = z
  .object({
    provider: z.string(),
    models: z.array(z.string()).describe('As the provider calls them, in its order.'),
    more: z
      .boolean()
      .describe(`Whether there are more; no more than ${limits.modelListNamesMax} are listed.`),
    latency_ms: latency,
    node: nodeSchema,
  })
  .meta({ id: 'ProviderModels' });

const failureSchema = z.object({
  code: z.string().describe('One of the error codes.'),
  message: z.string(),
});
const providerTestSchema = z
  .object({
    provider: z.string(),
    ok: z.boolean().describe('Whether it works, with every key.'),
    probe: z
      .enum(['model_list', 'connection', 'local'])
      .describe(
        '`model_list`: it listed its models. `connection`: it has no such list, so a connection was opened and no key was tried. `local`: it answers inside the data plane.',
      ),
    error: failureSchema.nullable().describe('The first thing that went wrong.'),
    models: z.int().nullable().describe('How many models it listed.'),
    keys: z
      .array(
        z.object({ id: z.string(), ok: z.boolean(), error: failureSchema.nullable(), latency_ms: latency }),
      )
      .describe(`Each key by itself; no more than ${limits.askKeysMax} are tried.`),
    latency_ms: latency,
    node: nodeSchema,
  })
  .meta({ id: 'ProviderTest' });

export function providerModelsApi(check: ProviderCheck): ApiPlugin {
  const describe = (summary: string) => ({ tags: ['Providers'], summary });
  return async function providerModelRoutes(app) {
    app.get(
      '/providers/:name/models',
      {
        schema: {
          ...describe('List the models that a provider has'),
          description: 'Asked of the provider now, by a connected data plane.',
          params: byName,
          querystring: query,
          response: { 200: providerModelsSchema },
        },
      },
      async ({ params: { name }, query: { node } }) => {
        const {
          provider,
          models,
          moreModels,
          latencyMs,
          node: asked,
        } = await check.models({
          name,
          nodeId: node,
        });
        return { provider, models: [...models], more: moreModels, latency_ms: latencyMs, node: asked };
      },
    );

    app.post(
      '/providers/:name/test',
      {
        schema: {
          ...describe('Test a provider'),
          description:
            'A connected data plane asks the provider for its models with every key. It costs nothing there; nothing is changed here.',
          params: byName,
          querystring: query,
          response: { 200: providerTestSchema },
        },
      },
      async ({ params: { name }, query: { node } }) => {
        const found = await check.test({ name, nodeId: node });
        return {
          provider: found.provider,
          ok: found.error === undefined,
          probe: found.probe,
          error: showFailure(found.error),
          models: found.modelCount,
          keys: found.keys.map(({ id, latencyMs, error }) => ({
            id,
            ok: error === undefined,
            error: showFailure(error),
            latency_ms: latencyMs,
          })),
          latency_ms: found.latencyMs,
          node: found.node,
        };
      },
    );
  };
}

function showFailure(error: SignalboxError | undefined): z.input<typeof failureSchema> | null {
  return error === undefined ? null : { code: error.code, message: error.message };
}
