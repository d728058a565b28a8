// Tunables of file transfer, with unit and source. Values only. docs/protocol/04 §7.
/** What travels in one message of the multiplexer. */
export const MESSAGE_BYTES = 65_535
/** Bytes that are read from disk for one step of serving or copying: four messages of the multiplexer. */
export const BLOCK_BYTES = 4 * 65_535
/** Bytes hashed between two turns of the event loop: about 5 ms. */
export const HASH_SLICE_BYTES = 1 << 20
/** What a piece that comes counts for at least, as so many hashed bytes: a peer may send one byte at a time. */
export const CHUNK_COST_BYTES = 16 << 10
/** What has come is made durable after so many bytes. */
export const FLUSH_BYTES = 16 << 20
/** From here on a transfer may take a link of its own: below, making one takes longer than the file, bytes. */
export const BULK_BYTES = 4 << 20
/** Largest file that can be announced or fetched: its size is an exact number. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER
/** Name of a file of ours, characters. */
export const MAX_NAME_LENGTH = 255
/** Files that are wanted and not here, of an account. */
export const MAX_WANTED = 1_000
/** Of those, files that come by themselves: of all, and of those announced by one account. */
export const MAX_AUTOMATIC = 500
export const MAX_AUTOMATIC_PER_ACCOUNT = 100
/** Files that come in at the same time: of all, and of those announced by one account. */
export const MAX_RECEIVING = 8
export const MAX_RECEIVING_PER_ACCOUNT = 3
/** Files sent out at the same time: to one device, and to all. */
export const MAX_SERVED_PER_DEVICE = 8
export const MAX_SERVED = 64
/** Requests of one device: at once, and per second after that; and devices whose requests are counted. */
export const REQUEST_BURST = 64
export const REQUESTS_PER_SECOND = 4
export const MAX_RATED_DEVICES = 1_024
/** A requester that takes nothing for this long is ended, ms; and one that takes less than so much of a second over this time. */
export const SERVE_STALL_MS = 60_000
export const SERVE_MIN_RATE = 1_024
/** Devices that one file is asked of. */
export const MAX_SOURCES = 256
/** Devices asked at the same time, and how long one is waited for before the next is asked, too, ms. */
export const MAX_OPENING = 3
export const HEDGE_MS = 3_000
/** Opening a channel, link included, ms. */
export const OPEN_TIMEOUT_MS = 45_000
/** Nothing comes for this long, or less than so much of a second over that time: another source, ms. */
export const RECEIVE_STALL_MS = 30_000
export const RECEIVE_WINDOW_MS = 60_000
export const RECEIVE_MIN_RATE = 1_024
/** A source that failed is asked again after this, doubled each time, ms. */
export const SOURCE_RETRY_FIRST_MS = 2_000
export const SOURCE_RETRY_MAX_MS = 300_000
/** Devices are looked for again after this, doubled each time, ms. */
export const FIND_FIRST_MS = 10_000
export const FIND_MAX_MS = 600_000
/** The device that announced a file refuses it so often, and everybody who is there does: it is gone. */
export const REFUSALS_OF_SENDER = 3
/** A whole file was wrong so often, whoever it came from. */
export const MAX_MISMATCHES = 4
/** Daemons read `start` as an unsigned 32-bit number. */
export const MAX_START_OF_DAEMONS = 2 ** 32
/** Between two progress events: at least, and while a transfer is under way at most, ms. */
export const PROGRESS_MIN_MS = 60
export const PROGRESS_BEAT_MS = 200
/** Over which the rate is measured, ms. */
export const RATE_MS = 2_000
