// `node test/conformance/write-matrix.ts`: writes the tables of docs/conformance.md anew from what the gateway does.
import { readFileSync, writeFileSync } from 'node:fs';
import { conformanceMatrix } from './matrix.ts';

const page = new URL('../../docs/conformance.md', import.meta.url);
const mark = '<!-- generated -->';
const [introduction] = readFileSync(page, 'utf8').split(mark);
writeFileSync(page, `${introduction}${mark}\n\n${conformanceMatrix().trim()}\n`);
