// The resources that make up the configuration, as one list: what the control plane mounts, and what tests mount.
import type { DeclaredConfiguration } from '../services/file-source.ts';
import type { KeyService } from '../services/keys.ts';
import type { ObjectService } from '../services/objects.ts';
import type { Db } from '../store/database.ts';
import { auditApi } from './audit.ts';
import { configurationFileApi } from './configuration-file.ts';
import { keysApi } from './keys.ts';
import { objectsApi } from './objects.ts';
import type { ApiPlugin } from './plugin.ts';
import { revisionsApi } from './revisions.ts';

export function configurationResources(parts: {
  db: Db;
  objects: ObjectService;
  keys: KeyService;
  declared: DeclaredConfiguration;
}): ApiPlugin[] {
  return [
    objectsApi(parts.objects),
    keysApi(parts.keys),
    configurationFileApi(parts.declared),
    revisionsApi(parts.db),
    auditApi(parts.db),
  ];
}
