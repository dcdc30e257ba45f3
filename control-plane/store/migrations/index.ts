// Every migration by name, in order. Migrations only add (expand); a column is removed (contract) no sooner than one
// release after the last build that reads it, so that builds N and N-1 run on one database.
import type { Migration } from 'kysely/migration';
import * as configuration from './001-configuration.ts';
import * as ledger from './002-ledger.ts';
import * as requestWords from './003-request-words.ts';
import * as trail from './004-trail.ts';
import * as queuePriority from './005-queue-priority.ts';
import * as shadow from './006-shadow.ts';

export const migrations: Record<string, Migration> = {
  '001-configuration': configuration,
  '002-ledger': ledger,
  '003-request-words': requestWords,
  '004-trail': trail,
  '005-queue-priority': queuePriority,
  '006-shadow': shadow,
};
