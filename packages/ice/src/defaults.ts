// Tunables of links, with unit and source. Values only. docs/protocol/02 §2.2, §6.5, §8.6, §11.
/** Answer to a connection request, ms. */
export const ANSWER_TIMEOUT_MS = 30_000
/** A request id is remembered this long, ms, and this many of them; and of those that were refused, in memory only. */
export const TREATED_TTL_MS = 86_400_000
export const MAX_TREATED = 20_000
export const MAX_REFUSED = 4_096
/** Between two checks, ms. */
export const PACING_MS = 20
/** One TCP connection attempt, one check, ms. */
export const CONNECT_TIMEOUT_MS = 15_000
export const CHECK_TIMEOUT_MS = 8_000
/** From both descriptions to nomination, ms. */
export const NEGOTIATION_TIMEOUT_MS = 25_000
/** With no check left to make, ms that the peer has for connecting to us. */
export const PASSIVE_GRACE_MS = 10_000
/** Port of active candidates: a placeholder. */
export const PLACEHOLDER_PORT = 9
/** Candidates that we send, and that we use of a peer. */
export const MAX_LOCAL_CANDIDATES = 16
export const MAX_REMOTE_CANDIDATES = 31
/** Connections that a peer's candidates can make us open. */
export const MAX_OUTGOING = 16
/** TCP connections accepted in one negotiation: that have shown a check of the peer, and that have not (yet). */
export const MAX_INCOMING = 16
export const MAX_UNVERIFIED = 16
/** STUN messages of one connection that are looked at in a second; and those that wait to be sent on one. */
export const STUN_PER_SECOND = 50
export const MAX_PENDING_STUN = 16
/** Keep-alive indications, ms: at least, plus a random part. */
export const KEEPALIVE_MS = 20_000
export const KEEPALIVE_JITTER_MS = 4_000
/** A link that heard nothing for this long is probed, ms. */
export const SILENCE_MS = 50_000
/** TLS handshake, ms. */
export const TLS_TIMEOUT_MS = 40_000
/** Waiting for the peer's close_notify, ms. */
export const CLOSE_TIMEOUT_MS = 2_000
/** Answer to a ping, ms. */
export const BEACON_MS = 3_000
/** Our own answer to a channel request, ms: must be below 3 s. */
export const ACCEPT_TIMEOUT_MS = 2_500
/** Waiting for the answer to our channel request, ms. */
export const CHANNEL_TIMEOUT_MS = 20_000
/** Bytes that one message costs beside its payload, wherever messages wait. */
export const MESSAGE_OVERHEAD_BYTES = 256
/** What readers of a link take between two turns of the event loop, bytes with what each message costs: 1,000 small messages. */
export const READ_SLICE_BYTES = 1 << 18
/** Bytes of one channel that wait for its reader before the link is paused, and below which it goes on. */
export const RECEIVE_HIGH_BYTES = 1 << 20
export const RECEIVE_LOW_BYTES = 768 * 1024
/** Bytes of all channels of a link that wait for their readers. With MAX_LINKS_PER_DEVICE the bound of a device. */
export const LINK_RECEIVE_BYTES = 8 << 20
/** How long a full channel may hold up its link before it is ended, ms; and what its reader must take for more of that time. */
export const STALL_MS = 10_000
export const MIN_READ_BYTES_PER_S = 32 * 1024
/** Bytes that wait in TLS before a peer that does not read is given up. */
export const MAX_UNSENT_BYTES = 1 << 20
/** Bytes of one channel, and of all channels of a link, that wait to be sent before write() waits. */
export const SEND_HIGH_BYTES = 1 << 18
export const LINK_SEND_BYTES = 4 << 20
/** A peer that takes nothing of what we send for this long is given up, ms. */
export const SEND_STALL_MS = 60_000
/** Channels of one link: open, and waiting for our answer. */
export const MAX_CHANNELS = 1024
export const MAX_PENDING_CHANNELS = 256
export const MAX_NAME_LENGTH = 4096
/** Objects of a wrong shape before a link is given up. */
export const MAX_STRANGE_OBJECTS = 100
/** Incoming negotiations at once, by class, in all and of one account. */
export const NEGOTIATIONS = {
  own: { total: 32, perAccount: 32 },
  contact: { total: 128, perAccount: 8 },
  member: { total: 64, perAccount: 4 },
  stranger: { total: 16, perAccount: 4 },
} as const
/** Incoming requests of one device that are answered in a minute. */
export const REQUESTS_PER_DEVICE_MINUTE = 20
/** Look-ups for requests of devices whose certificate is not here: at once, in a minute, and how long one may take, ms. */
export const MAX_LOOKUPS = 16
export const LOOKUPS_PER_MINUTE = 240
export const LOOKUP_TIMEOUT_MS = 10_000
/** Devices whose requests, or refusals, are counted. */
export const MAX_COUNTED_DEVICES = 10_000
/** A bulk channel waits so long for a link of its own before it takes the one that is there, ms. */
export const BULK_LINK_MS = 10_000
/** After one that did not come about none is tried with this device for this long, ms. */
export const BULK_RETRY_MS = 300_000
/** A link that was made for bulk is closed when it had no channel for this long, ms. */
export const BULK_IDLE_MS = 30_000
/** Links with a device, and with all devices of an account: it may make as many as it likes. */
export const MAX_LINKS_PER_DEVICE = 4
export const MAX_LINKS_PER_ACCOUNT = 32
/** Links with all members of our conversations who are no contacts, and with one of them: a group may have any number of members. */
export const MAX_MEMBER_LINKS = 256
export const MAX_LINKS_PER_MEMBER = 8
/** A device that answers and with which no link stays is asked again at once, then after this long, ms, then twice as long and so on. */
export const REDIAL_FIRST_MS = 1_000
export const REDIAL_MAX_MS = 30_000
/** A link that carried no channel and was shorter than this counts as refused, ms. */
export const SHORT_LINK_MS = 10_000
