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
/** Requests per second and source, and of all. */
export const REQUESTS_PER_SOURCE = 1024
export const REQUESTS_TOTAL = 8192
/** Bytes of values of others that we store. */
export const MAX_STORE_BYTES = 64 << 20
export const MAX_VALUES_PER_KEY = 65_536
export const MAX_KEYS = 65_536
/** Counted for each stored value beside its content, so that empty values are not free. */
export const VALUE_OVERHEAD_BYTES = 256
export const MAX_LISTENERS = 65_536
export const MAX_LISTENERS_PER_KEY = 512
export const MAX_LISTENERS_PER_SOURCE = 4096
/** Known nodes per family. */
export const MAX_NODES = 4096
export const MAX_SEARCHES = 16_384
/** Values, their bytes and selected rows in one answer; whoever asks needs no token, so the answer must not be much larger. */
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
 * within a minute or two, so ours stays at one. Bootstrap nodes get one ping each time.
 */
export const BOOTSTRAP_FIRST_MS = 10_000
export const BOOTSTRAP_MAX_MS = 60_000
/** A put that no node confirmed fails after this, ms. */
export const PUT_TIMEOUT_MS = 30_000
/** Ids in one push of refreshed or expired values. */
export const IDS_PER_PUSH = 100
