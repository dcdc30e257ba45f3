// What tests of the data plane's surface stand on: the gateway, a fake provider and a second one to fail over to, all of them there
// before a test begins and gone after it. The objects stay the same throughout, so that a file of tests and its helpers may hold them.
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { FakeProvider } from './fake-provider/index.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts';

interface Providers {
  readonly provider: FakeProvider;
  readonly backup: FakeProvider;
}

export interface Stage extends Providers {
  readonly gateway: TestGateway;
}

/** Called when the providers have their addresses. */
type Setting = (providers: Providers) => TestGatewayOptions;

/** A new gateway for each test, of which nothing is left for the next. */
export function gatewayPerTest(setting: Setting = () => ({})): Stage {
  const providers = providersForAll();
  const gateway = {} as TestGateway;
  beforeEach(async () => become(gateway, await startGateway(setting(providers))));
  afterEach(() => gateway.stop());
  return { ...providers, gateway };
}

/** One gateway for all tests of a file. */
export function gatewayPerFile(setting: Setting): Stage {
  const providers = providersForAll();
  const gateway = {} as TestGateway;
  beforeAll(async () => become(gateway, await startGateway(setting(providers))));
  afterAll(() => gateway.stop());
  return { ...providers, gateway };
}

/** They forget between tests what was asked of them. */
function providersForAll(): Providers {
  const provider = new FakeProvider({});
  const backup = new FakeProvider({});
  beforeAll(async () => {
    await Promise.all([provider.start(), backup.start()]);
  });
  beforeEach(() => {
    provider.reset();
    backup.reset();
  });
  afterAll(async () => {
    await Promise.all([provider.stop(), backup.stop()]);
  });
  return { provider, backup };
}

/** With its accessors: a snapshot may be set. */
function become(gateway: TestGateway, started: TestGateway): void {
  Object.defineProperties(gateway, Object.getOwnPropertyDescriptors(started));
}
