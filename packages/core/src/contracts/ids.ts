// The identifiers that travel between packages, as branded strings: lower-case hex, parsed once at the edge (identity/ids.ts).
// Types only. Source: docs/protocol/03-accounts.md §1.1.

/** Account id: SHA-1 of the account key's SubjectPublicKeyInfo (DER), 40 lower-case hex digits. */
export type AccountUri = string & { readonly __jamiId: 'account' }
/** Device id ("long id"): SHA-256 of the device key's SubjectPublicKeyInfo (DER), 64 lower-case hex digits. */
export type DeviceId = string & { readonly __jamiId: 'device' }
/** DHT key or node id: 20 bytes as 40 lower-case hex digits. */
export type InfoHash = string & { readonly __jamiId: 'hash' }
/** Conversation id: git id of the conversation's initial commit, 40 lower-case hex digits. */
export type ConversationId = string & { readonly __jamiId: 'conversation' }
/** Message id: git id of the commit that carries it, 40 lower-case hex digits. */
export type MessageId = string & { readonly __jamiId: 'message' }
