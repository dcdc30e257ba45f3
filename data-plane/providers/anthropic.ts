// Claude at Anthropic, or any host that speaks their messages: a key in a header of its own, and a version of the API that
// every request has to name.
import type { Provider } from './provider.ts';

export function anthropic(type: string): Provider {
  return Object.freeze<Provider>({
    type,
    dialect: 'anthropic-messages',
    path: '/messages',
    fixedHeaders: Object.freeze({ 'anthropic-version': '2023-06-01' }),
    headers: (secret) => (secret === '' ? {} : { 'x-api-key': secret }),
  });
}
