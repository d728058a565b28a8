// Names of @jamikit/core; nothing else.
export { JamiError, type JamiErrorOptions } from './base/errors.ts'
export { lineLogger, silentLogger } from './base/logger.ts'
export type * from './contracts/index.ts'
export type {
  Account, AccountEvents, AccountInit, Accounts, Channel as PublicChannel, Channels, Contact, ContactRequest, Contacts, Conversation, ConversationList,
  ConversationMemberInfo, Emitter, EventMessage, FileMessage, GroupInfo, HistoryOptions, Invite, Message, Peer, PeerLike, SearchOptions, SendOptions, TextMessage,
  UnknownMessage,
} from './node/api.ts'
export type { DownloadOptions, FilePolicy, Files, FileSource, Progress, SendFileOptions, Transfer, TransferNews } from './node/api-files.ts'
export type { ConsoleLike, Dht as PublicDht, DhtEntry, JamiNode, NetworkOptions, NodeEvents, NodeOptions, NodeState, NodeStats } from './node/api-node.ts'
export { type BootstrapEntry, parseBootstrap } from './identity/bootstrap.ts'
export { createJamiNode } from './node/create-node.ts'
export { parseAccountUri, parseConversationId, parseDeviceId, parseMessageId } from './node/public-ids.ts'
export { fileStorage, type FileStorageOptions } from './storage/file-storage.ts'
export { type MemoryContents, memoryStorage } from './storage/memory-storage.ts'
export { type EncryptionKey, sealedStorage, type SealedStorageOptions } from './storage/sealed-storage.ts'
