// What a visitor and a scraper find.
import { version } from '#shared/build.ts';
import type { GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function showIndex(_context: GatewayContext, exchange: Exchange): void {
  exchange.answerJson(200, {
    name: 'Signalbox',
    version,
    message:
      'This is an LLM gateway. Point an OpenAI SDK at /v1, or an Anthropic SDK here, and send your key as it always does.',
    endpoints: ['/v1/chat/completions', '/v1/responses', '/v1/models', '/health', '/metrics'],
  });
}

export async function showMetrics({ renderMetrics }: GatewayContext, exchange: Exchange): Promise<void> {
  exchange.answer(200, METRICS_TYPE, Buffer.from(await renderMetrics()));
}
