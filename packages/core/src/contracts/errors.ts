// The closed list of error codes. The class that carries them is base/errors.ts; every code is explained in docs/errors.md.
// Types only.

/** What went wrong, for programs. Adding a code is a minor release, removing one a major. */
export type JamiErrorCode =
  /** A caller's argument has the wrong shape or range. */
  | 'ERR_ARGUMENT'
  /** Text is not an account id, a `jami:` URI or a name. */
  | 'ERR_ADDRESS_INVALID'
  | 'ERR_NAME_NOT_FOUND'
  | 'ERR_NAME_TAKEN'
  /** The thing asked for (account, conversation, message, record) does not exist here. */
  | 'ERR_NOT_FOUND'
  /** No device of the peer is announced on the DHT. */
  | 'ERR_PEER_OFFLINE'
  /** The peer is there and does not answer us (stranger, ban), or our policy refused it. */
  | 'ERR_PEER_REFUSED'
  /** No pair of candidates worked. */
  | 'ERR_NO_ROUTE'
  | 'ERR_LINK_LOST'
  /** The peer's device declined the channel: it does not speak that protocol or does not allow us. */
  | 'ERR_CHANNEL_DECLINED'
  | 'ERR_CHANNEL_CLOSED'
  | 'ERR_DHT_UNREACHABLE'
  | 'ERR_TIMEOUT'
  /** The caller's AbortSignal fired; `cause` is its reason. */
  | 'ERR_ABORTED'
  /** The object was closed before or during the call. */
  | 'ERR_CLOSED'
  | 'ERR_NOT_MEMBER'
  | 'ERR_NOT_ADMIN'
  /** A fetched commit, tree or pack breaks the conversation's rules. */
  | 'ERR_REPO_INVALID'
  /** A bound was reached; `details` has `got` and `allowed`. */
  | 'ERR_LIMIT'
  | 'ERR_PASSWORD'
  | 'ERR_ARCHIVE_INVALID'
  /** A certificate or its chain does not verify, or is not the expected one. */
  | 'ERR_CERTIFICATE'
  /** A signature or an authenticated decryption does not verify. */
  | 'ERR_SIGNATURE'
  | 'ERR_DEVICE_REVOKED'
  | 'ERR_STORAGE_LOCKED'
  | 'ERR_STORAGE_CORRUPT'
  /** The system refused to read or write (disk full, no permission); `cause` has its error. */
  | 'ERR_STORAGE_IO'
  | 'ERR_FILE_GONE'
  | 'ERR_FILE_HASH'
  | 'ERR_CALL_REJECTED'
  /** Bytes from outside do not have the form they must have. */
  | 'ERR_CODEC'
  /** Not available in this build, on this runtime, or with these modules. */
  | 'ERR_UNSUPPORTED'
  /** A function of the program (a listener, a handler of a protocol) failed; `cause` is what it threw. */
  | 'ERR_LISTENER'
  /** A defect of this library. */
  | 'ERR_INTERNAL'
