// What became of the configuration file, and a way to have it applied now.
import { z } from 'zod';
import type { DeclaredConfiguration, FileStatus } from '../services/file-source.ts';
import type { ApiPlugin } from './plugin.ts';
import { problemSchema } from './problem.ts';

const statusSchema = z
  .object({
    file: z.string().nullable().describe('Null when the control plane was started without one.'),
    status: z
      .enum(['none', 'applied', 'rejected'])
      .describe('Whether the newest text of the file is in force; when rejected, nothing of it is.'),
    revision: z.int().nullable().describe('The revision in force after the file was last applied.'),
    applied_at: z.string().nullable(),
    error: z
      .object({ code: z.string(), detail: z.string(), problems: problemSchema.shape.problems })
      .nullable()
      .describe('Why the newest text was rejected.'),
  })
  .meta({ id: 'ConfigurationFile' });

const applyQuery = z.object({
  take_over: z
    .enum(['true', 'false'])
    .default('false')
    .describe('Whether objects of the file that are managed through the API become managed by the file.'),
});

export function configurationFileApi(declared: DeclaredConfiguration): ApiPlugin {
  return async function configurationFileRoutes(app) {
    app.get(
      '/configuration/file',
      {
        schema: {
          tags: ['Configuration'],
          summary: 'Read what became of the configuration file',
          response: { 200: statusSchema },
        },
      },
      () => show(declared.status),
    );

    app.post(
      '/configuration/file',
      {
        schema: {
          tags: ['Configuration'],
          summary: 'Read the configuration file again and apply it now',
          querystring: applyQuery,
          response: { 200: statusSchema },
        },
      },
      async ({ query, actor }) => {
        return show(await declared.reapply({ takeOver: query.take_over === 'true', actor }));
      },
    );
  };
}

function show({ file, status, revision, appliedAt, error }: FileStatus): z.input<typeof statusSchema> {
  return {
    file,
    status,
    revision: revision === null ? null : Number(revision),
    applied_at: appliedAt?.toISOString() ?? null,
    error: error && { code: error.code, detail: error.message, problems: [...error.problems] },
  };
}
