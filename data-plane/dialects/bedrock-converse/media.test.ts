import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Part } from '../../turn/request.ts';
import { DocumentNames, encodeFile, encodeImage } from './media.ts';

function image(url: string) {
  const refused: string[] = [];
  const blocks = encodeImage({ kind: 'image', url }, 'at', (_, reason) => void refused.push(reason));
  return refused.length === 0 ? blocks[0]?.image : refused[0];
}

function file(part: Partial<Extract<Part, { kind: 'file' }>>) {
  const refused: string[] = [];
  const blocks = encodeFile({ kind: 'file', ...part }, 'at', {
    unsupported: (_, reason) => void refused.push(reason),
    documentNames: new DocumentNames(),
  });
  return refused.length === 0 ? blocks[0] : refused[0];
}

describe('a picture', () => {
  test.each([
    ['data:image/png;base64,AAAA', { format: 'png', source: { bytes: 'AAAA' } }],
    ['data:image/JPG;name=a.jpg;base64,AAAA', { format: 'jpeg', source: { bytes: 'AAAA' } }],
    ['s3://bucket/a.webp', { format: 'webp', source: { s3Location: { uri: 's3://bucket/a.webp' } } }],
  ])('%s', (url, written) => {
    expect(image(url)).toEqual(written);
  });

  test.each([
    ['https://example.com/a.png', /data URL/],
    ['data:image/png,AAAA', /data URL/],
    ['data:image/svg+xml;base64,AAAA', /PNG/],
    ['s3://bucket/a.tiff', /PNG/],
  ])('%s is refused with the remedy', (url, remedy) => {
    expect(image(url)).toMatch(remedy);
  });
});

describe('a document', () => {
  test.each<[string, string, unknown]>([
    ['data:application/pdf;base64,AAAA', 'a.pdf', { format: 'pdf', name: 'a', source: { bytes: 'AAAA' } }],
    [
      'data:text/plain;charset=utf-8;base64,AAAA',
      '',
      { format: 'txt', name: 'document', source: { bytes: 'AAAA' } },
    ],
    [
      'data:application/octet-stream;base64,AAAA',
      'Résumé №1.DOCX',
      { format: 'docx', name: 'Resume No1', source: { bytes: 'AAAA' } },
    ],
  ])('%s named "%s"', (url, filename, document) => {
    expect(file({ url, filename })).toEqual({ document });
  });

  test('that is a picture is one', () => {
    expect(file({ url: 'data:image/png;base64,AAAA' })).toHaveProperty('image');
  });

  test.each([
    [{ fileId: 'file_1' }, /itself/],
    [{ url: 'https://example.com/a.pdf' }, /itself/],
    [{ url: 'data:application/zip;base64,AAAA', filename: 'a.zip' }, /pdf, csv/],
  ])('%j is refused with the remedy', (part, remedy) => {
    expect(file(part)).toMatch(remedy);
  });

  test('has a name that fits and that no other has', () => {
    const anyName = fc.oneof(
      fc.constantFrom('a.pdf', 'A.pdf', 'a (2).pdf', '분기보고서.pdf', "John's  report.pdf", ''),
      fc.string({ unit: 'grapheme', maxLength: 300 }),
    );
    fc.assert(
      fc.property(fc.array(anyName, { maxLength: 12 }), (filenames) => {
        const names = new DocumentNames();
        const taken = filenames.map((filename) => names.take(filename));
        for (const name of taken) {
          expect(name).toMatch(/^[a-zA-Z0-9_\s()[\]-]{1,200}$/);
          expect(name).not.toMatch(/\s\s/);
        }
        expect(new Set(taken.map((name) => name.toLowerCase())).size).toBe(taken.length);
      }),
    );
  });
});
