import { describe, expect, test } from 'vitest';
import { judgeAddress } from './address-guard.ts';

const public_ = [
  '1.1.1.1',
  '8.8.8.8',
  '93.184.216.34',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:80b::200e',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
];

const private_ = [
  '10.0.0.1',
  '10.255.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '100.64.0.1',
  '100.127.255.255',
  '::1',
  '0:0:0:0:0:0:0:1',
  'fc00::1',
  'fd12:3456:789a::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '0:0:0:0:0:ffff:7f00:0001',
  '::FFFF:10.0.0.1',
  '64:ff9b::10.0.0.1',
  '64:ff9b::7f00:1',
];

const never = [
  '0.0.0.0',
  '0.1.2.3',
  '100.100.100.200',
  '168.63.129.16',
  '169.254.0.1',
  '169.254.169.254',
  '169.254.170.2',
  '192.0.0.1',
  '192.0.0.192',
  '192.0.2.1',
  '192.88.99.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '::ffff:0.0.0.0',
  '::169.254.169.254',
  '::127.0.0.1',
  '::ffff:0:127.0.0.1',
  '64:ff9b::169.254.169.254',
  '64:ff9b:1::8.8.8.8',
  '100::1',
  '2001::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '2001:db8::1',
  '2001:20::1',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2002:808:808::1',
  '3fff::1',
  '5f00::1',
  '4000::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  '8000::1',
];

const malformed = [
  '',
  'localhost',
  '127.1',
  '2130706433',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '127.0.0.1.',
  '1.2.3.256',
  '[::1]',
  '::1::',
  'g::1',
];

describe('every kind of address has its reach', () => {
  test.each(public_)('%s is public', (address) => expect(judgeAddress(address).reach).toBe('public'));
  test.each(private_)('%s needs permission', (address) =>
    expect(judgeAddress(address).reach).toBe('private'),
  );
  test.each(never)('%s is never dialled', (address) => expect(judgeAddress(address).reach).toBe('never'));
  test.each(malformed)('%j is no address and never dialled', (address) =>
    expect(judgeAddress(address)).toEqual({ reach: 'never', kind: 'malformed' }),
  );
});

test('the verdict names the kind of address', () => {
  expect(judgeAddress('169.254.169.254').kind).toBe('cloud metadata');
  expect(judgeAddress('::ffff:127.0.0.1').kind).toBe('loopback');
  expect(judgeAddress('fe80::1').kind).toBe('link-local');
});
