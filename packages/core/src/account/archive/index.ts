// Names of core/account/archive; nothing else.
export { encodeArchive, openArchive, type OpenedArchive } from './archive.ts'
export { archiveKey, type ArchiveSecret, type WriteContainerOptions } from './container.ts'
export { type AccountArchive, archiveToJson, type ArchiveContact, type ArchiveConversation, type ArchiveRequest, parseArchive } from './schema.ts'
