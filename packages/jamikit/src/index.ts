// Names of jamikit; nothing else.
export {
  type Account, type AccountEvents, type AccountInit, type AccountUri, type Accounts, type Channels, type ConsoleLike, type Contact, type ContactRequest, type Contacts,
  type Conversation, type ConversationId, type ConversationList, type ConversationMemberInfo, type ConversationProfile, type DeviceId, type DhtEntry, type DownloadOptions, type Emitter,
  type EventMessage, type FileMessage, type FilePolicy, type Files, type FileSource, fileStorage, type GroupInfo, type HistoryOptions,
  type InfoHash, type Invite, JamiError, type JamiErrorCode, type JamiNode, lineLogger, type Logger, type LogLevel, type MemberRole, type MemoryContents, memoryStorage, type Message, type MessageId,
  type NetworkOptions, type NodeEvents, type NodeState, type NodeStats, type Op, parseAccountUri, parseConversationId, parseDeviceId, parseMessageId, type Peer, type PeerLike, type PublicChannel as Channel, type PublicDht as Dht,
  type PresenceState,
  type Progress, type SearchOptions, type SendFileOptions, type SendOptions, sealedStorage, type SealedStorageOptions, silentLogger, type Storage, type TextMessage, type Transfer, type TransferNews, type UnknownMessage,
} from '@jamikit/core'
export { createJamiNode, type NodeOptions } from './create-node.ts'
export { isolated, jamiNetwork } from './networks.ts'
