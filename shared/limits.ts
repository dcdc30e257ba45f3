// Every bound of the system, in one place, each with its unit and its reason. A limit that a person may need to change is
// a configuration key elsewhere; these are the walls that hold whatever the configuration says.

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

export const limits = {
  /** A 1M-token prompt is about 4 MB of text; images in data URLs need more. Larger bodies are files, not requests. */
  requestBodyBytesMax: 32 * MIB,
  /** Node's own default is 16 KiB; long bearer tokens and trace baggage fit, header bombs do not. */
  requestHeaderBytesMax: 32 * KIB,
  requestHeadersMsMax: 15 * SECOND,
  /** From the first header byte to the last body byte: a 32 MiB body at 300 KB/s. */
  requestBodyMsMax: 2 * MINUTE,
  /** Longer than the idle time-outs of common load balancers (60 s), so that they close first and never race us. */
  keepAliveMs: 75 * SECOND,
  /** An idle connection costs about 10 KB; beyond this the instance is a target, not a server. */
  connectionsMax: 20_000,

  /** Depth of nested JSON; deeper input is hostile and would exhaust the stack of naive readers. */
  jsonDepthMax: 128,
  /** One server-sent event. The largest seen in recordings is 1.1 MB (an inline image). */
  streamEventBytesMax: 16 * MIB,
  /** A whole answer that has to be held to be understood. */
  responseBodyBytesMax: 64 * MIB,
  upstreamHeaderBytesMax: 64 * KIB,
  upstreamConnectMs: 10 * SECOND,
  /** From the request's last byte to the first answer byte, unless a deployment says otherwise: reasoning models think. */
  upstreamTimeoutMs: 10 * MINUTE,
  /** Between two bytes of an answer that has begun. Providers send a ping at least every 30 s where they pause. */
  upstreamIdleMs: 2 * MINUTE,
  upstreamIdleConnectionMs: 30 * SECOND,
  upstreamConnectionsPerOriginMax: 4096,
  /** An error body is read to classify it, never more than this. */
  upstreamErrorBytesMax: 256 * KIB,
  /** Every target at most once; this bounds absurd configurations. */
  attemptsPerRequestMax: 8,

  /** How long a stopping data plane lets streams finish. */
  drainMs: 10 * MINUTE,
  apiBodyBytesMax: 4 * MIB,
  apiPageRowsMax: 500,
  apiPageRowsDefault: 50,
  nameLengthMax: 128,
  metadataEntriesMax: 32,
  metadataValueLengthMax: 512,
  keyModelsMax: 1000,

  /** One gRPC message of a transfer; small enough to decode without stalling the loop, large enough to be few. */
  syncChunkBytesMax: 256 * KIB,
  /** connect's default is 4 GiB. A chunk and its envelope. */
  syncMessageBytesMax: 512 * KIB,
  syncTransferBytesMax: 512 * MIB,
  /** 4 MiB at 150 ms round trip took 9.9 s with Node's default window and 0.2 s with this one. */
  syncWindowBytes: 8 * MIB,
  syncHeartbeatMs: 5 * SECOND,
  /** Three heartbeats missed: the peer is frozen or gone. */
  syncDeadMs: 15 * SECOND,
  syncAckMsMax: 30 * SECOND,
  syncRingRevisions: 256,
  syncFullTransfersMax: 16,
  syncNewStreamsPerSecond: 50,
  syncReconnectMsMin: 500,
  syncReconnectMsMax: MINUTE,
  syncStreamAgeMsMin: 30 * MINUTE,
  syncStreamAgeMsMax: MINUTE * 60,

  journalSegmentBytesMax: 8 * MIB,
  /** At 1 KB an attempt: a million attempts without a ledger. */
  journalBytesMax: 1024 * MIB,
  usageBatchRecordsMax: 512,
  usageBatchBytesMax: 512 * KIB,
  usageBatchesInFlightMax: 8,
  usagePublishMs: 5 * SECOND,
} as const;
