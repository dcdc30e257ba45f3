// To whoever has used the least of what it may use. Where limits are known that is a share of them, requests or tokens, whichever is
// nearer to its end. Without limits it is tokens of the last minute for its weight; a request and an error count as some tokens,
// so that many small requests and failing members are seen too, and what is in flight counts as what it will use: otherwise a member
// that takes requests and never answers would seem to have used nothing and be given everything.
import { orderBy, type Score } from './order-by.ts';
import type { Member, Strategy, StrategyInput } from './strategy.ts';

/** What a request costs beside its tokens. */
const REQUEST_TOKENS = 100;
/** An error sends traffic elsewhere for a while. */
const ERROR_TOKENS = 10_000;

export const lowestUsage: Strategy = {
  name: 'lowest-usage',
  order: (members, input) => {
    const areLimited = members.every((member) => shareOf(member) !== undefined);
    return orderBy(members, input, (member) =>
      areLimited ? limitedScore(member) : freeScore(member, input),
    );
  },
};

function shareOf({ requestsPerMinuteMax, tokensPerMinuteMax, vitals }: Member): number | undefined {
  const shares = [
    ...(requestsPerMinuteMax > 0 ? [vitals.requestsPerMinute / requestsPerMinuteMax] : []),
    ...(tokensPerMinuteMax > 0 ? [vitals.tokensPerMinute / tokensPerMinuteMax] : []),
  ];
  return shares.length === 0 ? undefined : Math.max(...shares);
}

function limitedScore(member: Member): Score {
  const share = shareOf(member) ?? 0;
  return { score: share, why: `${Math.round(share * 100)} % of its limits used` };
}

function freeScore({ weight, vitals }: Member, { inputTokens, outputTokensExpected }: StrategyInput): Score {
  const { tokensPerMinute, requestsPerMinute, errorsPerMinute, inFlight } = vitals;
  const usual = tokensPerMinute / Math.max(requestsPerMinute - inFlight, 1);
  const coming = inFlight * (usual === 0 ? inputTokens + outputTokensExpected : usual);
  const used = tokensPerMinute + coming + requestsPerMinute * REQUEST_TOKENS + errorsPerMinute * ERROR_TOKENS;
  return { score: used / weight, why: `${Math.round(used)} tokens in the last minute, weight ${weight}` };
}
