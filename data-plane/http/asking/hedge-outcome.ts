// What second attempts come to, as the metrics count it.

/** What became of a second attempt that the first was slow enough for. */
export type HedgeOutcome =
  /** It has answered. */
  | 'won'
  /** The first has. */
  | 'lost'
  /** Neither has. */
  | 'failed'
  /** It was not sent: the route has had its share. */
  | 'no_budget'
  /** It was not sent: nobody else can be asked for this, or has room. */
  | 'no_target';
