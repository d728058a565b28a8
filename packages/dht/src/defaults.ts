// Tunables of the DHT node, with unit and source. Values only. docs/protocol/01 §2.10, §2.11, §3.
/** Nodes that store a value, and that answer a find (k). */
export const CLOSEST = 8
/** Nodes kept in a search. */
export const SEARCH_NODES = 14
/** Nodes that we listen on. */
export const LISTEN_NODES = 4
/** Requests of one search under way. */
export const SEARCH_CONCURRENCY = 4
/** A token of a node is used this long, ms. */
export const TOKEN_USE_MS = 600_000
/** Token secrets change about this often, ms; two are valid. */
export const TOKEN_SECRET_MS = 1_800_000
/** A listen is repeated after this, ms (30 s - 10 s). */
export const LISTEN_REFRESH_MS = 20_000
/** A listener of another node is forgotten after this, ms. */
export const LISTENER_LIFE_MS = 600_000
/** Permanent values are announced again this long before they expire, ms. */
export const REANNOUNCE_MARGIN_MS = 10_000
/** A node that had no room for us is asked again after this, ms. */
export const REFUSED_MS = 60_000
/** A search that lost a node looks at what is known by now at most this often, ms. */
export const RESEED_MS = 30_000
/** Code of our answer to a put or listen for which its source has used up its share. Ours; others treat it as no answer. */
export const NO_ROOM = 503
/** Requests per second: of a source, of its network (IPv4 /24, IPv6 /48), of all; addresses that answered us have as much again. */
export const REQUESTS_PER_SOURCE = 1024
export const REQUESTS_PER_NETWORK = 2048
export const REQUESTS_TOTAL = 8192
/** Unknown nodes that we ping back, per second. */
export const NEWCOMERS = { perSource: 16, perNetwork: 64, total: 2048 }
/** Signatures to verify per second: of values that were put here, and of what our own requests and listens bring. */
export const PUT_SIGNATURES = { perSource: 64, perNetwork: 128, total: 2048 }
export const ASKED_SIGNATURES = { perSource: 512, perNetwork: 1024, total: 4096 }
/** Pushes per second that what one puts or refreshes may cause. */
export const PUSHES = { perSource: 8192, perNetwork: 16_384, total: 65_536 }
/** Bytes per second of answers longer than a datagram. */
export const LONG_ANSWERS = { perSource: 4 << 20, perNetwork: 16 << 20, total: 64 << 20 }
/** Values in one put; further ones are refused. */
export const MAX_PUT_VALUES = 64
/** An address that has not proved itself gets at most this many times the bytes that it sent, in one datagram. */
export const UNPROVEN_FACTOR = 3
/** Bytes of a ping of ours at most, which count, too. */
export const PING_BYTES = 64
/** How long an address counts as proven after it answered or showed a token, ms, and how many do. */
export const PROVEN_MS = 600_000
export const MAX_PROVEN = 16_384
/** Addresses that are being asked to prove themselves: how long, ms, and how many. */
export const PROBE_MS = 2500
export const MAX_WAITING = 2048
export const MAX_WAITING_PER_NETWORK = 256
export const MAX_WAITING_PER_SOURCE = 64
/** Bytes of values of others that we store. */
export const MAX_STORE_BYTES = 64 << 20
export const MAX_VALUES_PER_KEY = 65_536
export const MAX_KEYS = 65_536
/** Counted for each stored value beside its content, so that empty values are not free. */
export const VALUE_OVERHEAD_BYTES = 256
/** Counted for the first value at a key besides. */
export const KEY_OVERHEAD_BYTES = 768
/** Certificates at one key: they may stand under one id side by side. A network may have a quarter of them. */
export const MAX_CERTIFICATES_PER_KEY = 32
/** Listens of others: of all, of a network, of a source, and the same at one key. When all places are taken, the network with most gives. */
export const MAX_LISTENERS = 65_536
export const MAX_LISTENERS_PER_NETWORK = 16_384
export const MAX_LISTENERS_PER_SOURCE = 4096
export const MAX_LISTENERS_PER_KEY = 512
export const MAX_LISTENERS_PER_KEY_AND_NETWORK = 256
export const MAX_LISTENERS_PER_KEY_AND_SOURCE = 64
/** Unacknowledged pushes to one listener; with more it is forgotten, and gets everything again when it listens again. */
export const MAX_PENDING_PUSHES = 256
/** Known nodes per family, beside those in buckets and in searches. */
export const MAX_NODES = 4096
/** Searches that are told of a new node at once: the closest ones. Others find it themselves. */
export const OFFERED_SEARCHES = 16
export const MAX_SEARCHES = 16_384
/** Values, their bytes and selected rows in one answer to a proven address; values looked at for one. */
export const MAX_LOOKED_AT = 8192
export const MAX_REPLY_VALUES = 4096
export const MAX_REPLY_BYTES = 1 << 20
/** Bytes of values in one push. */
export const MAX_PUSH_BYTES = 56 << 10
/** Refusals of a node in a row after which it counts as dead. */
export const MAX_REFUSALS = 3
/** Contents that a get looks at for one id: of one answer, and of all. */
export const MAX_VARIANTS_PER_REPLY = 4
export const MAX_VARIANTS = 64
/** Values that one listen reports as present. */
export const MAX_LISTENED_VALUES = 4096
/** Transmissions of a request, and the first half of the first wait, ms. */
export const TRANSMISSIONS = 3
export const FIRST_DELAY_MS = 500
export const DELAY_JITTER_MS = 250
/** Good: replied within the first, heard within the second, ms. */
export const REPLIED_MS = 7_200_000
export const HEARD_MS = 600_000
/**
 * Back-off of bootstrap, ms. Differs: the reference goes on doubling up to 24 h; a bot that lost its network for an hour must be back
 * within a minute or two, so ours stays at one, and goes on at that pace while fewer than FEW_NETWORKS networks are known: a few nodes
 * that were cut off together know each other and nobody else. Bootstrap hosts and lost nodes get one ping each time.
 */
export const BOOTSTRAP_FIRST_MS = 10_000
export const BOOTSTRAP_MAX_MS = 60_000
export const FEW_NETWORKS = 4
/** While enough is known, ms. */
export const BOOTSTRAP_KEEP_MS = 600_000
/** How long a node that fell silent is looked for, ms. */
export const LOST_LIFE_MS = 86_400_000
/** After this with one network only, where there were several, and no bootstrap host that answers, we are not connected, ms. */
export const ISLAND_MS = 600_000
/** A vote on our public address, ms. */
export const VOTE_LIFE_MS = 1_800_000
/** How long a restored permanent value is kept up that nobody puts again, ms. */
export const RESTORED_MS = 3_600_000
/** A put that no node confirmed fails after this, ms. */
export const PUT_TIMEOUT_MS = 30_000
/** Ids in one push of refreshed or expired values. */
export const IDS_PER_PUSH = 100
