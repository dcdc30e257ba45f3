// The standard gRPC health service, so that load balancers, Kubernetes and grpcurl can ask whether this replica serves.
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import {
  type Health,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from '#proto/grpc/health/v1/health_pb.ts';
import { SyncService } from '#proto/signalbox/sync/v1/sync_pb.ts';

/** The empty name means the server as a whole. */
const services: ReadonlySet<string> = new Set(['', SyncService.typeName]);

export class HealthState {
  #serving = false;
  #changed = Promise.withResolvers<void>();

  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  implementation(): ServiceImpl<typeof Health> {
    const report = (service: string) => this.#report(service);
    const changed = () => this.#changed.promise;
    return {
      check({ service }) {
        if (services.has(service)) return report(service);
        throw new ConnectError(`There is no service "${service}" here.`, Code.NotFound);
      },
      async *watch({ service }, { signal }) {
        const { promise: gone, resolve } = Promise.withResolvers<void>();
        signal.addEventListener('abort', () => resolve(), { once: true });
        while (!signal.aborted) {
          const next = changed();
          yield report(service);
          await Promise.race([next, gone]);
        }
      },
    };
  }

  #report(service: string): HealthCheckResponse {
    const known = this.#serving ? Status.SERVING : Status.NOT_SERVING;
    const status = services.has(service) ? known : Status.SERVICE_UNKNOWN;
    return create(HealthCheckResponseSchema, { status });
  }
}
