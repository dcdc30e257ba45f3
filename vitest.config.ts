import { defineConfig } from 'vitest/config';

// Two kinds of test share one command: `unit` tests sit beside their source and run in parallel; `system`
// tests start real processes (Postgres, NATS, planes) and run one file at a time, because on a small machine
// two clusters at once would measure each other instead of the promise.
export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{shared,control-plane,data-plane,cli,bench}/**/*.test.ts',
            'test/*.test.ts',
            'test/fixtures/**/*.test.ts',
            'test/harness/**/*.test.ts',
          ],
          // By default one core is left alone, which on a machine with two is half of it.
          maxWorkers: '100%',
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/{e2e,chaos,conformance,docs,fuzz}/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
