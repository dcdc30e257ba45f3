import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { boundaryOf, scanForm } from './multipart.ts';

const type = 'multipart/form-data; boundary=b';

function form(...lines: string[]): Buffer {
  return Buffer.from(lines.join('\r\n'));
}

function field(name: string, value: string): string[] {
  return ['--b', `Content-Disposition: form-data; name="${name}"`, '', value];
}

function fieldsOf(body: Buffer, contentType = type): [string, string][] {
  return scanForm(body, contentType).map(({ name, bodyStart, bodyEnd }) => [
    name,
    body.toString('latin1', bodyStart, bodyEnd),
  ]);
}

function refusal(body: Buffer, contentType = type): string {
  try {
    scanForm(body, contentType);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(SignalboxError);
    expect((thrown as SignalboxError).code).toBe('invalid_request');
    return (thrown as SignalboxError).message;
  }
  return 'accepted';
}

describe('a form', () => {
  test('is found to have its fields, in order, where they stand', () => {
    const body = form(...field('model', 'whisper-1'), ...field('empty', ''), '--b--', '');
    expect(fieldsOf(body)).toEqual([
      ['model', 'whisper-1'],
      ['empty', ''],
    ]);
    const [first, second] = scanForm(body, type);
    expect(body.toString('latin1', second!.start, second!.start + 3)).toBe('--b');
    expect(first!.isFile).toBe(false);
  });

  test('may hold files of any bytes, line ends and other boundaries among them', () => {
    const bytes = 'ID3\r\n--c\r\n\r\n-- b--\n--b\0\xff';
    const body = Buffer.from(
      [
        '--b',
        'content-type: audio/mpeg',
        'CONTENT-DISPOSITION:form-data;  filename="a \\"b\\".mp3"; name=file',
        '',
        bytes,
        '--b--',
      ].join('\r\n'),
      'latin1',
    );
    expect(fieldsOf(body)).toEqual([['file', bytes]]);
    expect(scanForm(body, type)[0]!.isFile).toBe(true);
  });

  test('may be without any field', () => {
    expect(scanForm(form('--b--', ''), type)).toEqual([]);
  });

  test('as fetch writes it is understood', async () => {
    const data = new FormData();
    data.append('model', 'whisper-1');
    data.append('file', new Blob([new Uint8Array([1, 2, 13, 10, 45, 45])]), 'ümlaut "quoted".mp3');
    const written = new Response(data);
    const contentType = written.headers.get('content-type')!;
    const body = Buffer.from(await written.arrayBuffer());
    expect(fieldsOf(body, contentType)).toEqual([
      ['model', 'whisper-1'],
      ['file', '\x01\x02\r\n--'],
    ]);
  });
});

describe('what two readers could understand differently is refused', () => {
  const good = field('model', 'm');
  test.each([
    ['something before the first boundary', form('preamble', ...good, '--b--')],
    ['something behind the last', form(...good, '--b--', 'more')],
    ['no end', form(...good, '')],
    ['half an end', form(...good, '--b-')],
    ['a boundary that only begins a line', form(...good, '--bb--')],
    ['spaces behind a boundary', form(...good, '--b ', ...good.slice(1), '--b--')],
    ['no headers', form('--b', '', 'value', '--b--')],
    ['no disposition', form('--b', 'content-type: text/plain', '', 'value', '--b--')],
    ['two dispositions', form('--b', ...good.slice(1, 2), ...good.slice(1), '--b--')],
    ['another disposition', form('--b', 'content-disposition: attachment; name="a"', '', 'v', '--b--')],
    ['no name', form('--b', 'content-disposition: form-data', '', 'v', '--b--')],
    ['an empty name', form(...field('', 'v'), '--b--')],
    ['two names', form('--b', 'content-disposition: form-data; name="a"; name="b"', '', 'v', '--b--')],
    [
      'a name in another coding',
      form('--b', "content-disposition: form-data; name*=UTF-8''a", '', 'v', '--b--'),
    ],
    ['a name with escapes', form(...field('mod\\el', 'v'), '--b--')],
    ['a name with percent signs', form(...field('mod%65l', 'v'), '--b--')],
    ['a folded header', form('--b', 'content-disposition: form-data;', ' name="a"', '', 'v', '--b--')],
    [
      'a bare line feed in a header',
      form('--b', 'x: 1\ncontent-disposition: form-data; name="a"', '', 'v', '--b--'),
    ],
    ['rubbish behind the name', form('--b', 'content-disposition: form-data; name="a" x', '', 'v', '--b--')],
  ])('%s', (_, body) => {
    expect(refusal(body)).toMatch(/^The body is not a valid multipart form: .+ Let the HTTP library/);
  });

  test('more parts than the limit', () => {
    const parts = Array.from({ length: limits.multipartPartsMax + 1 }, (_, index) => field(`f${index}`, 'v'));
    expect(refusal(form(...parts.flat(), '--b--'))).toContain(`more than ${limits.multipartPartsMax} parts`);
    expect(scanForm(form(...parts.slice(1).flat(), '--b--'), type)).toHaveLength(limits.multipartPartsMax);
  });

  test('headers larger than the limit', () => {
    const long = `x-long: ${'x'.repeat(limits.multipartHeaderBytesMax)}`;
    expect(refusal(form('--b', long, ...field('a', 'v').slice(1), '--b--'))).toContain(
      'no headers that end within',
    );
  });

  test.each([
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary="a"; boundary="b"',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
    'multipart/form-data; boundary="a\\"b"',
    'multipart/form-data; boundary=a b',
    'multipart/form-data; boundary="a "',
  ])('the content type %s', (contentType) => {
    expect(refusal(form('--b--'), contentType)).toContain('no valid boundary');
  });

  test('a boundary may be quoted and stand among other parameters', () => {
    expect(boundaryOf('multipart/form-data; charset=utf-8; BOUNDARY="a b"')).toBe('a b');
  });
});

describe('whatever comes', () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value).toString('latin1'));
  const lines = fc.array(
    fc.oneof(
      bytes,
      fc.constantFrom('--b', '--b--', '--', '', 'Content-Disposition: form-data; name="a"', 'x: y'),
    ),
    { maxLength: 12 },
  );

  test('is a form or an error that says so', () => {
    fc.assert(
      fc.property(lines, fc.constantFrom('\r\n', '\n', '\r'), (list, end) => {
        const body = Buffer.from(list.join(end), 'latin1');
        try {
          for (const { bodyStart, bodyEnd, start } of scanForm(body, type)) {
            expect(start).toBeLessThan(bodyStart);
            expect(bodyStart).toBeLessThanOrEqual(bodyEnd);
            expect(bodyEnd).toBeLessThan(body.length);
          }
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(SignalboxError);
        }
      }),
    );
  });

  test('a form is read as it was written', () => {
    const boundary = fc.stringMatching(/^[0-9A-Za-z'()+_,./:=?-]{1,70}$/);
    const parts = fc.array(fc.tuple(fc.stringMatching(/^[a-z[\]_ .-]{1,12}$/), bytes), { maxLength: 8 });
    fc.assert(
      fc.property(boundary, parts, (mark, list) => {
        fc.pre(list.every(([, value]) => !`\r\n${value}`.includes(`\r\n--${mark}`)));
        const written = list.map(
          ([name, value]) =>
            `--${mark}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
        );
        const body = Buffer.from(`${written.join('')}--${mark}--\r\n`, 'latin1');
        expect(fieldsOf(body, `multipart/form-data; boundary="${mark}"`)).toEqual(list);
      }),
    );
  });
});
