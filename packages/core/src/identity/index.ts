// Names of core/identity; nothing else.
export { type DeviceAnnouncement, encodeAnnouncementData, makeAnnouncement, parseAnnouncementData, verifyAnnouncement } from './announcement.ts'
export { type BootstrapEntry, parseBootstrap } from './bootstrap.ts'
export { chainToPem, parseCertificate, parseChain } from './certificate.ts'
export { ethAddressOf } from './eth.ts'
export {
  accountUriOf, certificateKey, deviceIdOf, infoHashOf, inboxKey, parseAccountUri, parseConversationId, parseDeviceId, parseInfoHash, parseMessageId, peerKey, shortIdOf,
} from './ids.ts'
export { type AccountIdentity, createAccountIdentity, createDeviceIdentity, createEthKey, type IdentityEnv, issueDeviceCertificate } from './issue.ts'
export { makeReceipt, type Receipt, verifyReceipt } from './receipt.ts'
export { createRevocationList, parseRevocationList, type RevocationList, type RevokedSerial, verifyRevocationList } from './revocation.ts'
export { verifyIssued, type VerifyChainOptions, verifyPeerChain } from './verify-chain.ts'
