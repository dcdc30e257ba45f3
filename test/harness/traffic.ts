// Applications at work: a bounded number of loops that send chat completions to several data planes until told to stop, and
// remember how each request ended.
import { randomUUID } from 'node:crypto';

export interface TrafficOptions {
  /** Where to send; read before each request, so that a test may change it. */
  readonly urls: () => readonly string[];
  readonly key: string;
  readonly model: string;
  readonly loops: number;
  /** The share of requests that stream, 0 to 1. */
  readonly streamed?: number;
}

export interface Answer {
  readonly url: string;
  readonly marker: string;
  readonly streamed: boolean;
  readonly startedAt: number;
  readonly endedAt: number;
  /** 0 when there was no HTTP answer at all. */
  readonly status: number;
  /** The answer arrived whole: JSON that parses, or a stream with its end. */
  readonly whole: boolean;
  readonly detail: string;
}

export interface Traffic {
  readonly answers: readonly Answer[];
  stop(): Promise<readonly Answer[]>;
}

export function startTraffic(options: TrafficOptions): Traffic {
  const answers: Answer[] = [];
  let running = true;
  const loop = async (index: number) => {
    for (let turn = index; running; turn++) {
      const urls = options.urls();
      const streamed = (turn * 0.618) % 1 < (options.streamed ?? 0.5);
      answers.push(await ask(urls[turn % urls.length]!, options, streamed));
    }
  };
  const loops = Array.from({ length: options.loops }, (_, index) => loop(index));
  return {
    answers,
    async stop() {
      running = false;
      await Promise.all(loops);
      return answers;
    },
  };
}

async function ask(url: string, { key, model }: TrafficOptions, streamed: boolean): Promise<Answer> {
  const marker = randomUUID();
  const startedAt = performance.now();
  const result = await complete(url, key, {
    model,
    stream: streamed,
    messages: [{ role: 'user', content: marker }],
  });
  return { url, marker, streamed, startedAt, endedAt: performance.now(), ...result };
}

/** Sends one chat completion and reads the answer to its end. */
export async function complete(
  url: string,
  key: string,
  body: Record<string, unknown>,
): Promise<{ status: number; whole: boolean; detail: string }> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    const whole =
      body.stream === true && response.ok
        ? text.includes('data: [DONE]') && !text.includes('"error"')
        : isJson(text);
    return { status: response.status, whole, detail: text.slice(-500) };
  } catch (error) {
    return {
      status: 0,
      whole: false,
      detail: String(error instanceof Error ? (error.cause ?? error) : error),
    };
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
