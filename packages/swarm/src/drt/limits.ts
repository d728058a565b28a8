// Numbers of the distributed routing table: those of the protocol, and our bounds. docs/protocol/04 §6, appendix A.
// Proof: drt/wire.test.ts, drt/routing-table.test.ts, drt/leases.test.ts, drt/hostile.test.ts.

/** What we speak; 1 and 2 are read. */
export const DRT_VERSION = 3
/** Connected devices that a bucket wants, and how many devices wake a mobile one. */
export const BUCKET_SIZE = 2
/** Ids that a FIND asks for. */
export const FIND_COUNT = 2
/** A FIND for nothing but freshness, ms; each time up to a fifth sooner or later. */
export const FIND_PERIOD_MS = 600_000
/** Certificates asked for at once, one question to a peer at a time, and how long it may take, ms. */
export const MAX_CERTIFICATE_IDS = 16
export const CERTIFICATE_TIMEOUT_MS = 10_000
export const MAX_CERTIFICATE_BYTES = 65_536
export const MAX_CERTIFICATES_BYTES = 262_144
/** Leases that wait for a certificate, in one conversation; look-ups of them on the DHT at once. */
export const MAX_PENDING_LEASES = 64
export const MAX_LEASE_LOOKUPS = 4
/** Devices whose certificates we have said we can give. */
export const MAX_ANNOUNCED = 512
/** Leases in one message. */
export const MAX_MOBILE_INFOS = 128
export const LEASE_FORMAT = 1
export const MAX_LEASE_SIGNATURE = 1_024
export const MAX_LEASE_CONVERSATION = 128
export const LEASE_LIFETIME_S = 30 * 86_400
export const LEASE_RENEWAL_S = 14 * 86_400
export const LEASE_SKEW_S = 300

/** One message: 128 leases, 4 certificates of the largest size, or thousands of ids. */
export const MAX_MESSAGE_BYTES = 524_288
/** Ids in one answer; how many of them we learn is FIND_COUNT for each question of ours. */
export const MAX_NODES = 1_024
export const MAX_MOBILE_NODES = 4_096

/** Connected devices: of one account, of one conversation. */
export const MAX_NODES_PER_ACCOUNT = 16
export const MAX_CONNECTED = 512
/** Candidates in a bucket: those we were told are devices of members, and those that peers only named. */
export const MAX_KNOWN = 32
export const MAX_HEARD = 8
/** Mobile devices with a good lease: in a bucket, of one account. */
export const MAX_MOBILE = 128
export const MAX_MOBILE_PER_ACCOUNT = 8
/** Ids that lead nowhere, and for how long they are not tried again, ms. */
export const MAX_BAD = 512
export const BAD_MS = 600_000
/** Attempts that make a link, at once in one conversation; a failed one is repeated after this, doubled each time, ms, and so often: then the device must be seen again. */
export const MAX_DIALS = 8
export const DIAL_RETRY_FIRST_MS = 30_000
export const MAX_FAILED_DIALS = 6
/** A channel that ends sooner counts as a failed attempt, ms. */
export const SHORT_CHANNEL_MS = 30_000
/** Ids that one device may name, FINDs of it that are answered and questions for certificates: a burst, then a rate. Kept for devices that left, too. */
export const HEARD_RATE = { burst: 16, perSecond: 1 / 30 } as const
export const FIND_RATE = { burst: 20, perSecond: 0.5 } as const
export const CERTIFICATE_RATE = { burst: 4, perSecond: 0.1 } as const
/** Leases that we pass on without being asked: a burst, then a rate. */
export const PASS_RATE = { burst: 32, perSecond: 1 } as const
/** Messages that are neither answered nor learnt from, before the channel is ended: a burst, then a rate. */
export const EXCESS_RATE = { burst: 256, perSecond: 1 } as const
export const MAX_REMEMBERED_PEERS = 1_024
