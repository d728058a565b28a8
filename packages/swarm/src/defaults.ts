// Tunables of conversations, with unit and source. Values only. docs/protocol/04 §3.9, §4.7, §5.
/** Bytes received in one fetch, packets counted with their overhead. A caller may set another bound. */
export const MAX_FETCH_BYTES = 64 << 20
/** Inflated bytes of one fetch (delta data, results and overhead counted), of one object, and objects of one fetch. */
export const MAX_INFLATED_BYTES = 256 << 20
export const MAX_OBJECT_BYTES = 8 << 20
/** One object on our own disk: what any earlier version took. */
export const MAX_STORED_OBJECT_BYTES = 64 << 20
export const MAX_OBJECTS = 100_000
/** A clone brings a whole history, once, from who invited us: some 200,000 messages. */
export const MAX_CLONE_BYTES = 256 << 20
export const MAX_CLONE_INFLATED_BYTES = 1 << 30
export const MAX_CLONE_OBJECTS = 400_000
/** Deltas on deltas, and instructions of one delta (git's own have one per 16 bytes or more). */
export const MAX_DELTA_DEPTH = 50
export const MAX_DELTA_OPERATIONS = 262_144
/** What an object and what an instruction of a delta count for beside their bytes. */
export const OBJECT_OVERHEAD_BYTES = 128
export const OPERATION_OVERHEAD_BYTES = 16
/** All inflating that a received pack allows over its life, in multiples of what it may inflate to: no pack is read in circles. */
export const MAX_WORK_FACTOR = 4
/** A packet of a pack or of progress counts at least this much. */
export const PACKET_OVERHEAD_BYTES = 64
/** A pack below this stays in memory, a larger one goes to a scratch file in pieces of this size; bytes. */
export const SPOOL_MEMORY_BYTES = 256 << 10
/** Resolved objects of a received pack that are kept for the next read; bytes. */
export const PACK_CACHE_BYTES = 16 << 20
/** An object above this is inflated and deflated in a thread, not on the loop; bytes. */
export const OFF_LOOP_BYTES = 1 << 20
/** Work between two turns of the event loop: bytes produced, and what each object counts for (an engine of zlib takes about 10 µs). About 10 ms. */
export const SLICE_BYTES = 2 << 20
export const OBJECT_COST_BYTES = 8 << 10
/** One tree: entries in all, and levels. */
export const MAX_TREE_ENTRIES = 20_000
export const MAX_TREE_DEPTH = 8
/** One commit object. */
export const MAX_COMMIT_BYTES = 1 << 20
/** One pkt-line. */
export const MAX_PKT = 65_520
/** No progress of a peer in a git session, ms. */
export const SESSION_IDLE_MS = 60_000
/** A session that goes on for longer than SESSION_IDLE_MS has to move so many bytes a second on the whole: a peer that trickles is ended. */
export const SESSION_MIN_RATE = 2048
/** Refs a peer may advertise (daemons have one for each device they ever fetched from). */
export const MAX_REFS = 4096
/** Haves in our requests: so that one write holds the request. */
export const MAX_HAVES = 64
/** Haves and wants a peer may send in one request. */
export const MAX_PEER_HAVES = 4096
export const MAX_PEER_WANTS = 16
/** Commits, and trees and blobs, in one answer of ours. */
export const MAX_SERVED_COMMITS = 1_000_000
export const MAX_SERVED_OBJECTS = 200_000
/** Tree entries that are remembered while an answer is worked out. */
export const MAX_WALKED_ENTRIES = 50_000
/** Answers that are remembered for who asks the same again, and objects in all of them. */
export const MAX_ANSWERS = 32
export const MAX_ANSWER_OBJECTS = 200_000
/** What one device may be served: sessions and bytes at once, and per minute after that. */
export const SERVED_SESSIONS = 600
export const SERVED_SESSIONS_PER_MIN = 300
export const SERVED_BYTES = 256 << 20
export const SERVED_BYTES_PER_MIN = 64 << 20
/** Devices whose use is remembered; whoever used least is forgotten first. */
export const MAX_RATED_DEVICES = 1024
/** Packs being made at a time, for all and for one device, and requests that wait. */
export const MAX_SERVING = 4
export const MAX_SERVING_PER_DEVICE = 1
export const MAX_SERVE_WAITING = 256
export const MAX_SERVE_WAITING_PER_DEVICE = 8
/** Fetches at a time, for all and from one account, and announcements of one account that wait. */
export const MAX_FETCHING = 6
export const MAX_FETCHING_PER_PEER = 2
export const MAX_FETCH_WAITING_PER_PEER = 1024
/** A head that was refused is not fetched from that source again for this long, doubled each time, ms; other heads of it neither, for the second. */
export const REFUSED_HEAD_MS = 60_000
export const REFUSED_SOURCE_MS = 5_000
export const REFUSED_MAX_MS = 6 * 3_600_000
/** Sources (a device in a conversation) and heads of each that are remembered as refused. */
export const MAX_REFUSED_SOURCES = 1024
export const MAX_REFUSED_HEADS = 16
/** A fetch that broke is tried again while the device is connected: after this, doubled each time, ms, and so often. */
export const FETCH_RETRY_MS = 500
export const FETCH_RETRIES = 6
/** Cloning is tried again after this, doubled each time, ms. */
export const CLONE_RETRY_FIRST_MS = 5_000
export const CLONE_RETRY_MAX_MS = 12 * 3_600_000
/** Clones that fail validation before we give up until the next start. */
export const MAX_VALIDATION_FAILURES = 3
/** A fetch that has to be done again with other bounds waits up to this, ms. */
export const FETCH_JITTER_MS = 250
/** Merging what people see (all within half a second), ms: the first device waits this long, doubled with each merge in a row; the others a step more, spread. */
export const MERGE_FIRST_MS = 50
export const MERGE_FIRST_MAX_MS = 150
export const MERGE_STEP_MS = 350
export const MERGE_SPREAD_MS = 100
/** Where fetches are slow, that step is so many of them, up to this, ms. */
export const FETCHES_OF_A_STEP = 5
export const MERGE_STEP_MAX_MS = 3_000
/** Merges do not follow each other any more after this, ms. */
export const MERGE_CALM_MS = 2_000
/** What comes of merges in one go is told together within this, ms. */
export const MERGE_BURST_MS = 100
/** Merging merges, which show nothing: the first wait, doubled with each own one in a row, the longest, and after which everything begins anew, ms. */
export const QUIET_MERGE_MS = 300
export const QUIET_MERGE_MAX_MS = 30_000
export const QUIET_CALM_MS = 60_000
/** Telling of merges of others: the first wait, doubled each time in a row, the longest, ms. */
export const QUIET_TELL_MS = 300
export const QUIET_TELL_MAX_MS = 5_000
/** After a merge, a notice of what is here means that its sender may be ahead, for this long; notices of just before count too, ms. */
export const UNREST_MS = 30_000
export const HINT_MEMORY_MS = 5_000
/** When to look at the head of a device that may be ahead: after a hint, then again while it is behind us or has what we have not, ms. */
export const LOOKS_MS = [400, 1_000, 3_000, 9_000] as const
/** Between two looks at one device that nobody else asked for: the shortest, and the longest when they find nothing, ms. */
export const LOOK_GAP_MS = 1_000
export const LOOK_GAP_MAX_MS = 8_000
/** Devices of a conversation of which it is remembered where they are. */
export const MAX_CONVERGING_DEVICES = 256
export const MAX_CONVERSATIONS = 10_000
/** One-to-one conversations that a single contact can bring us to, by requests or invitations; groups are joined by people. */
export const MAX_WITH_ONE_PEER = 16
/** Conversations that are gone, and of which we remember that they are: the oldest is forgotten first. */
export const MAX_GONE = 10_000
/** Invitations of ours in one conversation whose time is remembered. */
export const MAX_INVITED_TIMES = 1_000
/** Invitations that wait for an answer: from contacts and from others, in all and of one account. */
export const MAX_INVITATIONS = { contact: 200, stranger: 50 } as const
export const MAX_INVITATIONS_OF_ONE = { contact: 20, stranger: 3 } as const
/** Declined ones that are remembered, the oldest out. */
export const MAX_DECLINED = 1_000
/** An invitation that nobody answered for so long makes place for another one, when there is none, ms. */
export const STALE_INVITATION_MS = 30 * 86_400_000
/** A claimed date of an invitation may lie this far in the future, ms. */
export const INVITED_AHEAD_MS = 300_000
/** Bytes of an invitation: what one small message holds. A picture that does not fit is left out. */
export const MAX_INVITATION_BYTES = 64_000
/** The same invitation goes to the same device again after this when it asks, and when it only appears, ms. */
export const INVITE_AGAIN_MS = 60_000
export const INVITE_APPEARED_MS = 3_600_000
/** Devices (with a conversation) that were invited lately. */
export const MAX_LATELY_INVITED = 4_096
/** A picture of a conversation, bytes: we write no larger one. */
export const MAX_AVATAR_BYTES = 64 << 10
/** Entries, and characters of names and values, of preferences. */
export const MAX_PREFERENCES = 100
export const MAX_PREFERENCE_NAME = 100
export const MAX_PREFERENCE_VALUE = 1_000
/** Members that a commit is announced to, those with a link first: whoever has it tells those with links to it. */
export const MAX_ANNOUNCED = 64
/** After a leave was fetched, the session is let end before everything is erased, ms. */
export const LEFT_GRACE_MS = 1_000
/** Refused histories that were told of, so that each is told once. */
export const MAX_TOLD_PROBLEMS = 1_024
/** Git channels that one device may open for one conversation. */
export const MAX_SERVED_CHANNELS = 4
/** How often one device may send us to another one with its notices: a burst, then a rate, well below what a device serves (300 sessions a minute). */
export const ELSEWHERE_RATE = { burst: 32, perSecond: 0.5 } as const
/** Asking for an invitation, per peer and conversation, ms. */
export const ASK_INVITE_MS = 60_000
/** Typing ends by itself, ms. */
export const TYPING_MS = 12_000
/** Remembered idempotency keys per conversation. */
export const MAX_KEYS = 10_000
/** Bytes of one conversation's objects up to which others' are taken, unless the program says otherwise. */
export const MAX_CONVERSATION_BYTES = 2 ** 30
/** Commits that one fetch may bring. */
export const MAX_FETCHED_COMMITS = 250_000
/** Tree entries that validation looks at, directories included: for one commit, for one fetch. */
export const MAX_ENTRIES_PER_COMMIT = 50_000
export const MAX_ENTRIES_PER_FETCH = 5_000_000
/** Commits that are looked at for what the merges of one fetch build on. */
export const MAX_MERGE_WALK = 1_000_000
/** Commits whose signatures are verified at the same time. */
export const VALIDATIONS_AT_ONCE = 8
/** Characters of a text that programs get; longer ones are cut and marked. We send no longer ones. */
export const MAX_TEXT_LENGTH = 65_536
/** Values of a commit's message, nested ones included; with more it is of unknown type. */
export const MAX_BODY_VALUES = 4_096
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
/** A peer that had more than we has merged after this, ms, if it is not busy; at most so long after it fetched. */
export const MERGED_BY_PEER_MS = 300
export const MERGING_MS = 3_000
/** Conversations whose answers to fetches are kept. */
export const MAX_ANSWER_CACHES = 64
/** Objects that were read lately, of all conversations of an account. */
export const CACHE_BYTES = 8 << 20
