// Which addresses the data plane may dial. Provider addresses come from configuration, and configuration may come from
// people who must not reach what the data plane can reach: the metadata service of a cloud, the database next door. The
// check is made on addresses, not on names, and the checked address is the one that is dialled, so neither an odd
// spelling (`0x7f.1`) nor a name server that changes its answer gets around it.
import { isIPv4, isIPv6 } from 'node:net';

/** `private`: only where the provider allows it. `never`: not even then. */
export type Reach = 'public' | 'private' | 'never';

export interface Judgement {
  readonly reach: Reach;
  /** What kind of address it is, for the error message. */
  readonly kind: string;
}

/** The IANA special-purpose registries, and the metadata addresses of clouds. The most specific row decides. */
const table: readonly (readonly [network: string, reach: Reach, kind: string])[] = [
  ['0.0.0.0/0', 'public', 'public'],
  ['0.0.0.0/8', 'never', 'unspecified'],
  ['10.0.0.0/8', 'private', 'private'],
  ['100.64.0.0/10', 'private', 'carrier-grade NAT'],
  ['100.100.100.200/32', 'never', 'cloud metadata'],
  ['127.0.0.0/8', 'private', 'loopback'],
  ['168.63.129.16/32', 'never', 'cloud metadata'],
  ['169.254.0.0/16', 'never', 'link-local'],
  ['169.254.169.254/32', 'never', 'cloud metadata'],
  ['172.16.0.0/12', 'private', 'private'],
  ['192.0.0.0/24', 'never', 'protocol assignment'],
  ['192.0.0.192/32', 'never', 'cloud metadata'],
  ['192.0.2.0/24', 'never', 'documentation'],
  ['192.31.196.0/24', 'never', 'AS112'],
  ['192.52.193.0/24', 'never', 'AMT'],
  ['192.88.99.0/24', 'never', '6to4 relay'],
  ['192.168.0.0/16', 'private', 'private'],
  ['192.175.48.0/24', 'never', 'AS112'],
  ['198.18.0.0/15', 'never', 'benchmarking'],
  ['198.51.100.0/24', 'never', 'documentation'],
  ['203.0.113.0/24', 'never', 'documentation'],
  ['224.0.0.0/4', 'never', 'multicast'],
  ['240.0.0.0/4', 'never', 'reserved'],
  // Only 2000::/3 is handed out as global unicast; everything else is special or not assigned.
  ['::/0', 'never', 'unassigned'],
  ['::/96', 'never', 'IPv4-compatible'],
  ['::/128', 'never', 'unspecified'],
  ['::1/128', 'private', 'loopback'],
  ['::ffff:0:0:0/96', 'never', 'IPv4-translated'],
  ['64:ff9b:1::/48', 'never', 'local NAT64'],
  ['100::/64', 'never', 'discard'],
  ['2000::/3', 'public', 'public'],
  ['2001::/23', 'never', 'protocol assignment'],
  ['2001::/32', 'never', 'Teredo'],
  ['2001:db8::/32', 'never', 'documentation'],
  ['2002::/16', 'never', '6to4'],
  ['2620:4f:8000::/48', 'never', 'AS112'],
  ['3fff::/20', 'never', 'documentation'],
  ['5f00::/16', 'never', 'segment routing'],
  ['fc00::/7', 'private', 'unique local'],
  ['fd00:ec2::254/128', 'never', 'cloud metadata'],
  ['fd20:ce::254/128', 'never', 'cloud metadata'],
  ['fe80::/10', 'never', 'link-local'],
  ['fec0::/10', 'never', 'site-local'],
  ['ff00::/8', 'never', 'multicast'],
];

const ADDRESS_BITS = 128;
const IPV4_BITS = 32;
/** ::ffff:0:0/96, where IPv4 lives inside IPv6. */
const MAPPED = 0xffffn << 32n;
/** 64:ff9b::/96: a NAT64 gateway dials the IPv4 address in the low bits, so that address is judged. */
const NAT64 = 0x0064_ff9bn << 96n;
const LOW_32 = 0xffff_ffffn;

interface Network {
  readonly base: bigint;
  readonly bits: number;
  readonly judgement: Judgement;
}

const networks: readonly Network[] = table
  .map(([network, reach, kind]) => {
    const [address = '', length = ''] = network.split('/');
    const offset = isIPv4(address) ? ADDRESS_BITS - IPV4_BITS : 0;
    return { base: toNumber(address)!, bits: Number(length) + offset, judgement: { reach, kind } };
  })
  .sort((left, right) => right.bits - left.bits);

/** Judges an address in any spelling that `net` calls one. Anything else is never dialled. */
export function judgeAddress(address: string): Judgement {
  const value = toNumber(address);
  if (value === undefined) return { reach: 'never', kind: 'malformed' };
  const embedded = value >> 32n === NAT64 >> 32n ? MAPPED | (value & LOW_32) : value;
  const found = networks.find(({ base, bits }) => {
    const shift = BigInt(ADDRESS_BITS - bits);
    return embedded >> shift === base >> shift;
  });
  return found?.judgement ?? { reach: 'never', kind: 'unassigned' };
}

function toNumber(address: string): bigint | undefined {
  if (isIPv4(address)) return MAPPED | ipv4ToNumber(address);
  // A zone (`fe80::1%eth0`) only exists where an address means something on one link alone.
  if (!isIPv6(address) || address.includes('%')) return undefined;
  return ipv6ToNumber(address);
}

function ipv4ToNumber(address: string): bigint {
  return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

function ipv6ToNumber(address: string): bigint {
  const lastColon = address.lastIndexOf(':');
  const tail = address.slice(lastColon + 1);
  if (tail.includes('.')) {
    const low = ipv4ToNumber(tail);
    const groups = `${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
    return ipv6ToNumber(`${address.slice(0, lastColon + 1)}${groups}`);
  }
  const [before = '', after] = address.split('::');
  const left = before === '' ? [] : before.split(':');
  const right = after === undefined || after === '' ? [] : after.split(':');
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}
