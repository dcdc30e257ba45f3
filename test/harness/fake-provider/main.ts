// The fake provider as a process of its own, so that everything else can be killed or frozen around it while its bill
// survives: `node test/harness/fake-provider/main.ts --port 0 [--behaviour <script>] [--key <bearer>]`. It prints its
// address and is asked over HTTP: GET /_bill, GET /_requests, GET /_load, POST /_behaviour {script, model?, times?},
// POST /_reset, POST /_drop.
import { parseArgs } from 'node:util';
import type { RawRequest } from './http-request.ts';
import { type BehaviourTarget, startFakeProvider } from './index.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    behaviour: { type: 'string' },
    key: { type: 'string' },
  },
});

const controls: Readonly<Record<string, (request: RawRequest) => object>> = {
  'GET /_bill': () => provider.bill(),
  'GET /_requests': () =>
    provider.requests().map((request) => ({ ...request, body: request.body.toString('base64') })),
  'GET /_load': () => provider.load(),
  'POST /_behaviour': (request) => {
    const { script, ...target } = JSON.parse(request.body.toString()) as { script: string } & BehaviourTarget;
    provider.setBehaviour(script, target);
    return {};
  },
  'POST /_reset': () => {
    provider.reset();
    return {};
  },
  'POST /_drop': () => {
    setImmediate(() => provider.dropConnections());
    return {};
  },
};

const provider = await startFakeProvider(
  {
    port: Number(values.port),
    ...(values.behaviour !== undefined && { behaviour: values.behaviour }),
    ...(values.key !== undefined && { requiredKey: values.key }),
  },
  (request) => {
    try {
      return controls[`${request.method} ${request.path}`]?.(request);
    } catch (error) {
      return { error: (error as Error).message };
    }
  },
);

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));
process.stdout.write(`fake provider at ${provider.baseUrl}\n`);
