// Where AWS hands out temporary keys: to a workload that can prove what it is (STS), to a container, and to a machine. The last
// two are fixed addresses that reach no farther than the machine, and the only addresses of their kind that are ever
// dialled. Variables that AWS's own tools know may name others, which are dialled like any other address.
import { SignalboxError } from '#shared/errors.ts';
import type { Origin } from '../../upstream/client.ts';
import type { ProviderSettings } from '../provider.ts';

/** Replaced in tests, which have no AWS. */
export interface AwsHosts {
  readonly sts: (region: string) => Origin;
  readonly container: Origin;
  readonly instance: Origin;
}

/** A part of host names, so that nothing but a region may come through. */
const REGION = /^[a-z]{2,}(-[a-z]+)+-\d+$/;

/** Undefined for a region that cannot be one. */
export function bedrockAddress({ region = '' }: ProviderSettings): string | undefined {
  return REGION.test(region) ? `https://bedrock-runtime.${region}.${domainOf(region)}` : undefined;
}

export const awsHosts: AwsHosts = {
  sts: (region) => ({
    secure: true,
    host: `sts.${region}.${domainOf(region)}`,
    port: 443,
    allowPrivateNetwork: false,
  }),
  container: metadataOrigin('169.254.170.2'),
  instance: metadataOrigin('169.254.169.254'),
};

/** Where containers may be told to ask over plain HTTP: themselves, and the agents of ECS and EKS. */
const agents: readonly string[] = ['169.254.170.2', '169.254.170.23', 'fd00:ec2::23'];
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** The address in a variable of the environment. Throws `invalid_configuration` for one that AWS's own tools would refuse. */
export function originNamed(variable: string, url: URL): Origin {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  if (secure) return { secure, host, port, allowPrivateNetwork: true };
  if (url.protocol === 'http:' && agents.includes(host)) return { ...metadataOrigin(host), port };
  if (url.protocol === 'http:' && LOOPBACK.test(host)) {
    return { secure, host, port, allowPrivateNetwork: true };
  }
  throw new SignalboxError(
    'invalid_configuration',
    `${variable} names ${url.origin}, where keys would travel in the open. It may be https, this machine, or one of ${agents.join(', ')}.`,
  );
}

function domainOf(region: string): string {
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
}

function metadataOrigin(address: string): Origin {
  return { secure: false, host: address, port: 80, allowPrivateNetwork: false, metadataAddress: address };
}
