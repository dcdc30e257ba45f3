// Fastify's door to validation: schemas are zod's, findings are ours.
import type { FastifySchemaCompiler } from 'fastify';
import type { z } from 'zod';
import { validate } from '../domain/validation.ts';

const places: Readonly<Record<string, string>> = {
  body: 'Body',
  querystring: 'Query',
  params: 'Path',
  headers: 'Header',
};

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart = '' }) => {
  return (input: unknown) => validate(schema, input, places[httpPart] ?? httpPart);
};
