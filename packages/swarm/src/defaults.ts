// Tunables of conversations, with unit and source. Values only. docs/protocol/04 §3.9, §4.7, §5.
/** Compressed bytes received in one fetch. */
export const MAX_FETCH_BYTES = 256 << 20
/** Inflated bytes of one fetch, of one object, and objects of one fetch. */
export const MAX_INFLATED_BYTES = 512 << 20
export const MAX_OBJECT_BYTES = 64 << 20
export const MAX_OBJECTS = 500_000
export const MAX_DELTA_DEPTH = 64
/** One tree: entries in all, and levels. */
export const MAX_TREE_ENTRIES = 20_000
export const MAX_TREE_DEPTH = 8
/** One commit object. */
export const MAX_COMMIT_BYTES = 1 << 20
/** One pkt-line. */
export const MAX_PKT = 65_520
/** No progress of a peer in a git session, ms. */
export const SESSION_IDLE_MS = 60_000
/** Haves in our requests: below 20, so that one write holds the request. */
export const MAX_HAVES = 19
/** Haves a peer may send in one request. */
export const MAX_PEER_HAVES = 4096
/** A fetch that broke is tried again while the device is connected: after this, doubled each time, ms, and so often. */
export const FETCH_RETRY_MS = 500
export const FETCH_RETRIES = 6
/** Cloning is tried again after this, doubled each time, ms. */
export const CLONE_RETRY_FIRST_MS = 5_000
export const CLONE_RETRY_MAX_MS = 12 * 3_600_000
/** Clones that fail validation before we give up until the next start. */
export const MAX_VALIDATION_FAILURES = 3
/** A merge waits up to this before it is written, in case the other side merges first, ms. */
export const MERGE_JITTER_MS = 250
export const MAX_CONVERSATIONS = 10_000
/** One-to-one conversations that a single contact can bring us to, by requests or invitations. */
export const MAX_WITH_ONE_PEER = 16
/** Git channels that one device may open for one conversation. */
export const MAX_SERVED_CHANNELS = 4
/** Asking for an invitation, per peer and conversation, ms. */
export const ASK_INVITE_MS = 60_000
/** Typing ends by itself, ms. */
export const TYPING_MS = 12_000
/** Remembered idempotency keys per conversation. */
export const MAX_KEYS = 10_000
/** Commits that one fetch may bring. */
export const MAX_FETCHED_COMMITS = 100_000
/** Tree entries that validation looks at, directories included: for one commit, for one fetch. */
export const MAX_ENTRIES_PER_COMMIT = 50_000
export const MAX_ENTRIES_PER_FETCH = 5_000_000
/** Commits whose signatures are verified at the same time. */
export const VALIDATIONS_AT_ONCE = 8
/** Characters of a text that programs get; longer ones are cut and marked. We send no longer ones. */
export const MAX_TEXT_LENGTH = 65_536
/** Characters of any other member of a commit's message, and members that programs get. */
export const MAX_FIELD_LENGTH = 4_096
export const MAX_FIELDS = 32
/** A commit is written at the time of what it builds on when our clock is behind, but not above this, s. */
export const MAX_TIME_AHEAD_S = 86_400
/** Best common ancestors that a merge looks at. */
export const MAX_MERGE_BASES = 16
/** Commits of ours that a peer's new commits build on, in one fetch. */
export const MAX_JOINTS = 1_024
/** A fetch that our own disk kept from being stored is tried again at least this often while the peer is connected, ms. */
export const STORAGE_RETRY_MAX_MS = 60_000
/** A peer that had more than we has merged after this, ms. */
export const MERGED_BY_PEER_MS = 300
/** Conversations whose answers to fetches are kept. */
export const MAX_ANSWER_CACHES = 64
