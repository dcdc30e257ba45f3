// What a test wants from a client library, whichever it is: to be asked in its own way, whole and streamed, and to say what its
// own types made of the answer.

export interface Endpoint {
  /** Without a path. */
  readonly url: string;
  readonly key: string;
}

export interface Said {
  readonly text: string;
  readonly outputTokens: number;
}

export interface Called {
  readonly name: string;
  /** Read by the library, or as it was written. */
  readonly input: unknown;
}

export interface Client {
  readonly name: string;
  connect(endpoint: Endpoint): Connected;
}

export interface Connected {
  text(model: string): Promise<Said>;
  stream(model: string): Promise<Said>;
  /** The model demands the tool, is given its result, and answers in words. */
  tool(model: string): Promise<Called>;
  streamTool(model: string): Promise<Called>;
}

export const question = 'What is the weather in Paris?';
export const toolName = 'get_weather';
export const toolDescription = 'Tells the weather.';
export const toolSchema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const;
