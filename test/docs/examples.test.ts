// Every example of the documents is tried. A comment above a block, which nobody sees when it is rendered, says how:
//
//   sh, js   `up`: beside a running all-in-one. `control-plane`, `data-plane`: starts that plane. `planes`: beside the
//            planes that the document has started. `project`: in the project's folder, with nothing running.
//            Then, after commas: `refused` for an HTTP error, `code 78` for another exit code than 0, and `soon` where
//            what a reader does in between takes its time.
//   yaml     no comment: is a valid configuration. `in place`: becomes the configuration file of the all-in-one.
//            `mistake`: is not valid; what is said about it follows in a block of its own, `told`.
//   json     is the answer to the example before it, or with `part` a part of that answer.
//   no name  `output`: what the example before it printed. `banner`: what the all-in-one has said.
//
// What cannot be tried is in a table below, with the reason.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { explainFailure } from '#cli/exit.ts';
import { loadConfiguration } from '#shared/configuration/load.ts';
import { type Block, blocksOf } from './markdown.ts';
import { differences } from './shape.ts';
import { besideUp, type Outcome, putConfiguration, Stage } from './stage.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const documents = ['README.md', ...listDocuments('docs'), ...listDocuments('docs/decisions')];
const blocks = documents.flatMap((document) =>
  blocksOf(document, readFileSync(`${root}/${document}`, 'utf8')),
);

interface Untried {
  readonly document: string;
  /** How the block begins. */
  readonly begins: string;
  readonly why: string;
}

const untried: readonly Untried[] = [
  { document: 'README.md', begins: 'npm start\n', why: 'test/e2e/first-run.test.ts is about nothing else' },
  {
    document: 'README.md',
    begins: 'OPENAI_API_KEY=sk-… npm start',
    why: 'test/e2e/first-run.test.ts starts with a provider key in the environment; calling the vendor needs an account',
  },
  {
    document: 'docs/accounting.md',
    begins: 'nats stream add',
    why: 'the command line tool of NATS would have to be installed',
  },
  {
    document: 'docs/files-and-batches.md',
    begins: 'const client = new OpenAI(',
    why: 'test/e2e/files.test.ts does it with the SDK; only a vendor keeps files',
  },
  {
    document: 'docs/realtime.md',
    begins: 'const client = new OpenAI(',
    why: 'test/e2e/realtime.test.ts does it with the SDK; only a vendor holds sessions',
  },
];

/** The settings that documents take to be in the environment of a configuration file. */
const environment = {
  OPENAI_API_KEY: 'sk-example',
  AWS_ACCESS_KEY_ID: 'AKIAEXAMPLEEXAMPLE00',
  AWS_SECRET_ACCESS_KEY: 'aws-example',
  AWS_BEARER_TOKEN_BEDROCK: 'bedrock-example',
  AZURE_OPENAI_API_KEY: 'azure-example',
  AZURE_CLIENT_SECRET: 'entra-example',
  GOOGLE_API_KEY: 'google-example',
  GOOGLE_SERVICE_ACCOUNT: '{"type":"service_account"}',
};
const SOON_MS_MAX = 20_000;
const languages = ['sh', 'js', 'yaml', 'json', ''];

test('there are examples', () => {
  expect(blocks.length).toBeGreaterThan(10);
  expect(blocks.filter(({ language }) => !languages.includes(language)).map(nameOf)).toEqual([]);
});

test('what is said to be impossible to try is still there', () => {
  const stale = untried.filter((row) => !blocks.some((block) => isRow(row, block)));
  expect(stale).toEqual([]);
});

const tried = blocks.filter(isExample);

describe.each([...new Set(tried.map(({ document }) => document))])('%s', (document) => {
  const stage = new Stage();
  afterAll(() => stage.close());
  const own = tried.filter((block) => block.document === document);
  const mistakes: string[] = [];

  for (const block of own) test(nameOf(block), () => attempt(block));

  if (own.some(({ words }) => words[0] === 'control-plane'))
    test('what was started stops when it is asked to', async () => {
      const installation = await stage.installation();
      expect(await installation.stopPlanes()).toEqual({ 'data-plane': 0, 'control-plane': 0 });
    });

  async function attempt(block: Block): Promise<void> {
    const { language, text, words } = block;
    if (language === 'json') compareAnswer(block);
    else if (language === 'yaml') await tryConfiguration(block);
    else if (language === '') await compareText(block);
    else if (words[0] === 'control-plane' || words[0] === 'data-plane')
      await stage.startPlane(words[0], text);
    else await tryCommand(block);
  }

  async function tryCommand(block: Block): Promise<void> {
    const { language, text, words } = block;
    const runners: Readonly<Record<string, () => Promise<Outcome>>> = {
      up: () => stage.runBesideUp(language, text),
      planes: () => stage.runBesidePlanes(language, text),
      project: () => stage.run(language, text),
    };
    const run = runners[words[0] ?? ''];
    if (run === undefined) expect.fail('no comment says where this example runs');
    const code = words.map((word) => /^code (\d+)$/.exec(word)?.[1]).find((found) => found !== undefined);
    const wanted = words.includes('refused') ? CURL_HTTP_ERROR : Number(code ?? 0);
    const deadline = performance.now() + (words.includes('soon') ? SOON_MS_MAX : 0);
    const answer = answerTo(block);
    const isWanted = ({ status, stdout }: Outcome) =>
      status === wanted && (answer === undefined || unlike(answer, stdout).length === 0);
    let outcome = await run();
    while (!isWanted(outcome) && performance.now() < deadline) outcome = await run();
    expect(outcome, explain(outcome)).toMatchObject({ status: wanted });
    if (language === 'js') expect(outcome.stdout).not.toBe('');
  }

  async function tryConfiguration({ text, words }: Block): Promise<void> {
    const load = () => loadConfiguration({ file: 'signalbox.yaml', text, env: environment, demo: true });
    if (words.includes('mistake')) {
      expect(load).toThrow();
      mistakes.push(messageOf(load));
      return;
    }
    load();
    if (words.includes('in place')) await putConfiguration(await stage.up(), text);
  }

  function compareAnswer(block: Block): void {
    expect(stage.last, 'no example comes before this answer').toBeDefined();
    expect(unlike(block, stage.last!.stdout)).toEqual([]);
  }

  function answerTo(block: Block): Block | undefined {
    const next = own[own.indexOf(block) + 1];
    return next?.language === 'json' ? next : undefined;
  }

  async function compareText({ text, words }: Block): Promise<void> {
    if (words.includes('told')) {
      expect(mistakes.at(-1)).toBe(text.trimEnd());
    } else if (words.includes('banner')) {
      const up = await stage.up();
      expect(up.program.output()).toMatch(pattern(stage.filledIn(text, besideUp(up))));
    } else {
      expect(stage.last?.stdout.replaceAll('\r', '')).toMatch(pattern(text));
    }
  }
});

/** What curl ends with under --fail-with-body. */
const CURL_HTTP_ERROR = 22;

function isExample(block: Block): boolean {
  if (untried.some((row) => isRow(row, block))) return false;
  return block.language !== '' || block.words.length > 0;
}

function unlike(shown: Block, answer: string): string[] {
  return differences(JSON.parse(shown.text), JSON.parse(answer), shown.words.includes('part'));
}

function isRow({ document, begins }: Untried, block: Block): boolean {
  return block.document === document && block.text.startsWith(begins);
}

function nameOf({ document, line, text }: Block): string {
  return `${document}:${line} ${text.split('\n')[0]}`;
}

function explain({ stdout, stderr }: Outcome): string {
  return `it printed\n${stdout}${stderr}`;
}

function messageOf(fail: () => unknown): string {
  try {
    fail();
    return '';
  } catch (error) {
    return explainFailure(error).text;
  }
}

/** The text as shown, in which `…` stands for anything and numbers with a fraction for any such number. */
function pattern(text: string): RegExp {
  const quoted = text.trimEnd().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(quoted.replaceAll('…', '.*').replaceAll(/\d+\\\.\d+(?= s\b)/g, '\\d+\\.\\d+'));
}

function listDocuments(folder: string): string[] {
  return readdirSync(`${root}/${folder}`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);
}
