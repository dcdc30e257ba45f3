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
  /** A client that needs longer to say what it wants is holding the connection open on purpose. */
  requestHeadersMsMax: 15 * SECOND,
  /** From the first header byte to the last body byte: a 32 MiB body at 300 KB/s. */
  requestBodyMsMax: 2 * MINUTE,
  /** Longer than the idle time-outs of common load balancers (60 s), so that they close first and never race us. */
  keepAliveMs: 75 * SECOND,
  /** An idle connection costs about 10 KB; beyond this the instance is a target, not a server. */
  connectionsMax: 20_000,

  /** An exchange holds a body and two sockets, about 100 KB; what cannot be served soon is better refused at once. */
  requestsInFlightMax: 10_000,
  /** After refusing a body we go on reading for a moment: a client that is cut off while it sends never sees why. */
  lingerMs: 2 * SECOND,
  /** A client that takes nothing for so long is gone or hostile; its upstream and its buffers are given back. */
  clientStallMs: 2 * MINUTE,
  /** A request id of the client's is repeated and logged up to this length. */
  clientRequestIdLengthMax: 128,
  /** What a client may give itself for a whole request; more than a day is a job, not a request. */
  requestDeadlineMsMax: 24 * 60 * MINUTE,
  /** Words of a client about one request; as many as OpenAI lets it store with an answer. */
  requestMetadataEntriesMax: 16,
  /** Names in it become filters of the ledger. */
  requestMetadataNameLengthMax: 64,
  /** Tags of one request; they are written with each of its attempts. */
  requestTagsMax: 16,
  /** A tag is a word, not a text. */
  requestTagLengthMax: 64,
  /** The header that lists the fields that were left out; what has no room is counted. Clients take 16 KiB of headers in all. */
  droppedHeaderBytesMax: 2 * KIB,
  /** One of them; a field's name is short unless somebody plays with us. */
  droppedNameLengthMax: 128,
  /** Below it an answer fits one packet, compressed or not. */
  compressedBodyBytesMin: 1 * KIB,
  /** Larger ones are pictures in base64, which hardly shrink, and keep a thread busy for seconds. */
  compressedBodyBytesMax: 8 * MIB,
  /** Origins that may call from a browser; whoever has more means all of them. */
  corsOriginsMax: 100,

  /** Fields and files of one form; the largest known, sixteen pictures and their settings, has thirty. */
  multipartPartsMax: 64,
  /** What stands above a part: its name, a file name and a media type. */
  multipartHeaderBytesMax: 4 * KIB,

  /** Depth of nested JSON; deeper input is hostile and would exhaust the stack of naive readers. */
  jsonDepthMax: 128,
  /** References of a tool's schema are written out; a few kilobytes of them could unfold to gigabytes. */
  schemaNodesMax: 4096,
  /** One server-sent event. The largest seen in recordings is 1.1 MB (an inline image). */
  streamEventBytesMax: 16 * MIB,
  /** A whole answer that has to be held to be understood. */
  responseBodyBytesMax: 64 * MIB,
  /** Providers send 1–4 KiB; some add long cookies and policies. */
  upstreamHeaderBytesMax: 64 * KIB,
  /** A TCP and TLS handshake across the world takes under a second; three lost SYN packets take seven. */
  upstreamConnectMs: 10 * SECOND,
  /** From the request's last byte to the first answer byte, unless a deployment says otherwise: reasoning models think. */
  upstreamTimeoutMs: 10 * MINUTE,
  /** Between two bytes of an answer that has begun. Providers send a ping at least every 30 s where they pause. */
  upstreamIdleMs: 2 * MINUTE,
  /** Shorter than the idle time-outs of providers' front ends (60 s and more), so that we close first. */
  upstreamIdleConnectionMs: 30 * SECOND,
  /** One exchange each; beyond this the file descriptors of a default system (65,536) would run out first elsewhere. */
  upstreamConnectionsPerOriginMax: 4096,
  /** Clients count before they ask; an estimate now is worth more to them than an exact number later. */
  countTokensMs: 5 * SECOND,
  /** An error body is read to classify it, never more than this. */
  upstreamErrorBytesMax: 256 * KIB,
  /** A token server answers in well under a second; requests are waiting for it. */
  credentialFetchMs: 10 * SECOND,
  /** A token and what is said about it take 2 KiB; one with many groups in it takes more. */
  credentialBytesMax: 64 * KIB,
  /** What a data plane may take to find out about a provider; a person is waiting for it. */
  askMs: 20 * SECOND,
  /** Questions of people that one data plane works on at once; requests come first. */
  asksPerNodeMax: 4,
  /** Keys of one provider that are tried for one question. */
  askKeysMax: 8,
  /** Half of a message between the planes. */
  explainBodyBytesMax: 256 * KIB,
  /** Each is looked at several times, between requests; more are no answer that a person reads. */
  explainCandidatesMax: 100,
  /** Keys that are shown of one candidate; with so many of each, an answer still fits one message between the planes. */
  explainKeysMax: 16,
  /** How often lots are drawn to tell how likely it is that somebody comes first. */
  explainDraws: 32,
  /** The longest list known, OpenRouter's, is about 1 MB. */
  modelListBytesMax: 8 * MIB,
  /** With names of the longest kind, a list of so many still fits one message between the planes. */
  modelListNamesMax: 2000,
  /** The longest known, an ARN at AWS, has about 150 characters. */
  modelListNameLengthMax: 200,
  /** Every target at most once; this bounds absurd configurations. */
  attemptsPerRequestMax: 8,

  /** One failure is chance, five in a row are not. */
  breakerFailuresInARowMax: 5,
  /** Whoever fails more often than it succeeds costs more than it gives. */
  breakerFailureShareMax: 0.5,
  /** Below this many recent requests a share is chance. */
  breakerEvidenceMin: 10,
  /** A restart of a process takes a few seconds. */
  breakerPauseMsMin: 2 * SECOND,
  /** However long an outage lasts, its end is noticed within a minute. */
  breakerPauseMsMax: MINUTE,
  /** Enough to tell a recovery from luck, few enough to fail without harm. */
  breakerProbesMax: 3,
  /** Half a minute ago counts half: outages last minutes, and nobody should pay for one an hour later. */
  healthHalfLifeMs: 30 * SECOND,
  /** A server that has just come back has cold caches and a queue in front of it. */
  slowStartMs: 30 * SECOND,
  /** Whom nobody asked for so long is unknown again. */
  healthForgetMs: 60 * MINUTE,
  /** How often a node tells the others how everyone is doing: a second is what news may take. */
  healthDigestMs: SECOND,
  /** Troubles come in bursts; the news of them are put together for this long. */
  healthUrgentMs: 100,
  /** Three digests that did not come: the node is gone, and so is what it knew. */
  healthDigestLifeMs: 3 * SECOND,
  /** Whom a node has not asked for so long it has nothing to say about. */
  healthRecentMs: 30 * SECOND,
  /** What one node uses within half a minute; those in trouble and the busiest are told first. */
  healthSubjectsPerDigestMax: 256,
  /** About a hundred bytes each, and a tenth of what NATS takes. */
  healthDigestBytesMax: 96 * KIB,
  /** A deployment's id joins four names. */
  healthSubjectLengthMax: 1100,
  /** Larger fleets work as well on what so many of them see. */
  healthNodesMax: 256,
  /** Neither a wrong clock at a provider nor a wrong digest may cost more than this. */
  healthRestMsMax: 10 * MINUTE,
  /** As when a breaker is half open, but each node asks for itself. */
  healthCautiousProbesMax: 1,
  /** Between two probes of a provider that is shut off; free of charge, but not of effort. */
  probeOpenMs: 2 * SECOND,
  /** Between two probes of a provider that nobody has asked. */
  probeIdleMs: MINUTE,
  /** A handshake or a list of models across the world, and some patience. */
  probeMsMax: 10 * SECOND,
  /** Requests come first. */
  probesAtOnceMax: 4,
  /** Retries may add a fifth to a route's load, not multiply it. */
  retryShareMax: 0.2,
  /** A quiet route may still fail over a few times. */
  retryFloor: 10,
  /** The budget looks back about this long. */
  retryHalfLifeMs: 10 * SECOND,
  /** Before the same provider is asked again that has just said it is busy: first less than this … */
  failoverBackoffMsMin: 100,
  /** … and never more: a caller is waiting. */
  failoverBackoffMsMax: SECOND,
  /** When everyone is shut off, one is tried all the same for this share of its usual time, so that an outage is told quickly. */
  lastResortTimeShare: 0.25,
  /** Targets asked and passed over that one request keeps in mind. */
  trailStepsMax: 32,
  /** The header that tells where a request went. Clients take 16 KiB of headers in all. */
  trailHeaderBytesMax: 2 * KIB,
  /** Why one target was asked, in a row of the ledger. */
  trailReasonLengthMax: 200,
  /** An answer that is longer and breaks off is not gone on with: it is kept in memory and sent as part of a prompt. */
  continuedTextLengthMax: MIB,
  /** Conversations whose prompts are taken to be warm somewhere; each is about two hundred bytes. */
  warmPromptsMax: 50_000,
  /** Providers keep the prompt of a conversation that pauses for about so long. */
  warmPromptMs: 5 * MINUTE,
  /** Places in which something is chosen; each is a few hundred bytes. */
  routingPlacesMax: 50_000,
  /** Urgent, usual and patient with steps between; more only invite everyone to be the most urgent. */
  queuePriorityMax: 9,
  /** Of a key that says nothing: in the middle, so that others can be put before it and behind it. */
  queuePriorityDefault: 5,
  /** Everyone in line may be looked at when a place becomes free, a few hundredths of a microsecond each. */
  queueLengthMax: 1000,
  /** A few times what usually runs at once; a longer line would be waited in for nothing. */
  queueLengthDefault: 100,
  /** Half of what impatient clients wait before they give up. */
  queueWaitMsDefault: 10 * SECOND,
  /** Nobody is told to come back at once. */
  shedRetryMsMin: SECOND,
  /** However slow the last minutes were, they say little of what comes after the next one. */
  shedRetryMsMax: MINUTE,
  /** A second attempt is never sent sooner: what answers faster than this needs none. */
  hedgeDelayMsMin: 20,
  /** The slowest twentieth of fewer answers than this is chance. */
  hedgeEvidenceMin: 20,
  /** What a stream may send before it says anything, while another may be faster: a role, a name, signs of life. */
  racedBytesHeldMax: 64 * KIB,
  /** Hedging looks back about a minute and a half, long enough to hold a share of rare requests. */
  hedgeHalfLifeMs: MINUTE,
  /** Each rule is asked for every request of its route. */
  routeRulesMax: 100,
  /** Names in one condition or outcome; more belong into the metadata of keys. */
  ruleValuesMax: 1000,
  /** Copies of requests under way on one instance: each holds its request, and its answer until it is whole. */
  mirrorsAtOnceMax: 100,
  /** A copy whose answer has no end is ended, though nobody waits for it: twice what a provider may take to begin one. */
  mirrorMsMax: 20 * MINUTE,
  /** OpenAI takes events of up to 15 MiB in a realtime session; one that is larger is refused there. */
  realtimeMessageBytesMax: 16 * MIB,
  /** A session holds two connections and up to a few MiB on their way; thousands of calls belong on more instances. */
  realtimeSessionsMax: 1000,
  /** Providers end a session after 30 to 60 minutes; what lasts longer than this has been forgotten. */
  realtimeSessionMsMax: 90 * MINUTE,
  /** Silence of both sides. A microphone that is on sends many times per second. */
  realtimeIdleMs: 15 * MINUTE,
  /** Both peers are asked whether they are there; whoever has not answered by the next time is not. */
  realtimePingMs: 30 * SECOND,
  /** From the open connection to the answer to the handshake; nothing is generated meanwhile. */
  realtimeHandshakeMs: 15 * SECOND,

  /** It is held while its lines are checked and sent. A batch of 50,000 requests of 2 KB each is 100 MB. */
  fileUploadBytesMax: 100 * MIB,
  /** Each may hold its file three times for a moment: as it came, put together, and rewritten. */
  fileUploadsAtOnceMax: 2,
  /** OpenAI takes 50,000 requests in a batch. */
  batchLinesMax: 100_000,
  /** OpenAI takes one model per batch; some hosts take several. Their names go into the id of the file. */
  batchModelsMax: 8,
  /** A description that is kept for lists; with all its metadata a batch takes about 10 KB. */
  objectBytesMax: 32 * KIB,
  /** Files and batches that a list shows of one API key, the newest. */
  objectsPerKeyMax: 1000,
  /** Of all keys together; an entry takes about 1 KB. */
  objectsRememberedMax: 50_000,
  /** Batches under way are each asked about, so a page is also a bound on questions. */
  filesPageMax: 100,
  /** Batches whose usage this instance has entered already; the ledger knows the others. */
  batchesAccountedMax: 10_000,

  /** One kept answer with its question. Pictures in a question are the most of it; without them 100 KB are a lot. */
  responseStoreDocumentBytesMax: 8 * MIB,
  /** Newer answers of the same key push out older ones. */
  responseStorePerKeyMax: 1000,
  /** All kept answers of a data plane that keeps them itself. */
  responseStoreBytesMax: 256 * MIB,
  /** A week from the last use: a conversation is gone on with soon, or hardly ever. */
  responseStoreTtlMs: 7 * 24 * 60 * MINUTE,
  /** A Redis that has not answered by then is as good as down. */
  responseStoreWaitMs: SECOND,
  /** A Redis that owes an answer and says nothing for so long is given up, with what waits to be read by it, and sought again. */
  redisSilentMs: 3 * SECOND,
  /** Answers that follow one another; beyond it the next one keeps the whole conversation itself. */
  responseChainMax: 100,

  /** How long a stopping data plane lets streams finish. */
  drainMs: 10 * MINUTE,
  /** The largest sensible body is a whole configuration file. */
  apiBodyBytesMax: 4 * MIB,
  /** A page renders in one query and one write. */
  apiPageRowsMax: 500,
  /** What fits on a screen or two. */
  apiPageRowsDefault: 50,
  /** A week: percentiles are found by reading every single attempt of that time. */
  routeStatisticsHoursMax: 168,
  /** Deployments, and kinds of their errors, that the statistics of one route tell apart. */
  routeStatisticsRowsMax: 1000,
  /** Names become map keys, log fields and table columns. */
  nameLengthMax: 128,
  /** Metadata describes a key; it is not a database. */
  metadataEntriesMax: 32,
  /** Long enough for a URL or an email address. */
  metadataValueLengthMax: 512,
  /** A key that needs more is better served by a pattern. */
  keyModelsMax: 1000,

  /** One gRPC message of a transfer; small enough to decode without stalling the loop, large enough to be few. */
  syncChunkBytesMax: 256 * KIB,
  /** connect's default is 4 GiB. A chunk and its envelope. */
  syncMessageBytesMax: 512 * KIB,
  /** What one compressed chunk may unfold to: a chunk is cut at a few thousand resources, a bomb is not. */
  syncChunkDecodedBytesMax: 16 * MIB,
  /** A million keys with room to spare; more is a mistake or an attack. */
  syncTransferBytesMax: 512 * MIB,
  /** 4 MiB at 150 ms round trip took 9.9 s with Node's default window and 0.2 s with this one. */
  syncWindowBytes: 8 * MIB,
  /** A control plane hears of a node often enough to notice in seconds that it is gone. */
  syncHeartbeatMs: 5 * SECOND,
  /** Three heartbeats missed: the peer is frozen or gone. */
  syncDeadMs: 15 * SECOND,
  /** A node applies 100,000 keys in about a second; one that needs longer than this is stuck. */
  syncAckMsMax: 30 * SECOND,
  /** Covers a node that was away for some minutes of busy administration; older ones get a computed difference. */
  syncRingRevisions: 256,
  /** Full snapshots are large; more at once only make each of them slower. */
  syncFullTransfersMax: 16,
  /** A TLS handshake and a session cost some 10 ms of CPU; a fleet of 1,000 reconnects in 20 s. */
  syncNewStreamsPerSecond: 50,
  /** The first retry, before jitter. */
  syncReconnectMsMin: 500,
  /** Full jitter up to here keeps a fleet from returning all at once. */
  syncReconnectMsMax: MINUTE,
  /** How long applying a configuration may hold the event loop before requests get their turn. */
  syncSliceMs: 4,
  /** A connection, with its handshake, to a control plane on the other side of the world. */
  syncConnectMs: 10 * SECOND,
  /** Reasons in one refusal; the first few tell what is wrong. */
  syncNackErrorsMax: 50,
  /** Changes come in bursts; the sealed copy on disk is written once after them. */
  syncCacheDelayMs: SECOND,
  /** Streams move on now and then, so that a new replica gets its share. */
  syncStreamAgeMsMin: 30 * MINUTE,
  /** Between the two, at random, so that they do not move together. */
  syncStreamAgeMsMax: MINUTE * 60,

  /** Small enough to be deleted soon after the ledger has it, large enough that there are few files. */
  journalSegmentBytesMax: 8 * MIB,
  /** At 1 KB an attempt: a million attempts without a ledger. */
  journalBytesMax: 1024 * MIB,
  /** One transaction of this size takes the ledger about 20 ms. */
  usageBatchRecordsMax: 512,
  /** Below the default message size of NATS, 1 MiB. */
  usageBatchBytesMax: 512 * KIB,
  /** A window that fills the round trip to the bus; more would only grow what is sent twice after a failure. */
  usageBatchesInFlightMax: 8,
  /** A bus that has not answered by then may or may not have the message; it is sent again. */
  usagePublishMs: 5 * SECOND,
  /** Batches published and not yet seen in the ledger; beyond it the journal is the better place to wait. */
  usageBatchesUnconfirmedMax: 1024,
  /** One attempt with everything the provider said about it. A larger one keeps its counts and loses the raw object. */
  journalRecordBytesMax: 64 * KIB,
  /** What a power cut may cost; a killed process loses nothing. A flash disk confirms in 1-5 ms, so it is rarely busy. */
  journalSyncMs: 100,

  /** Usage waiting inside one process; the journal has it too, so a larger queue would only be a copy. */
  busMemoryBytesMax: 64 * MIB,
  /** Usage waiting in JetStream for the ledger: about a million attempts. */
  busStreamBytesMax: 1024 * MIB,
  /** Longer than any pause after which a batch is sent again. */
  busDuplicateWindowMs: 20 * MINUTE,
  /** News that Redis has not confirmed yet: two of the largest digests. Beyond it nothing is sent until it has. */
  newsUnansweredBytesMax: 256 * KIB,
  /** A delivery not confirmed within this is made again, to whichever replica is there; a transaction takes 20 ms. */
  busAckMsMax: 20 * SECOND,
  /** The first pause before a delivery that failed is made again; it doubles. */
  busRedeliveryMsMin: 200,
  /** However long the ledger was away, it is tried again within this. */
  busRedeliveryMsMax: 30 * SECOND,

  /** Messages per ledger transaction: enough to share a commit, few enough that a retry repeats little. */
  ledgerBatchesPerTransactionMax: 8,
  /** A year and a month, so that a month can be compared with the same one a year before. */
  ledgerRetentionDays: 400,
} as const;
