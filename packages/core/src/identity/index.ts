// Names of core/identity; nothing else.
export { chainToPem, parseCertificate, parseChain } from './certificate.ts'
export {
  accountUriOf, certificateKey, deviceIdOf, infoHashOf, inboxKey, parseAccountUri, parseConversationId, parseDeviceId, parseInfoHash, parseMessageId, peerKey, shortIdOf,
} from './ids.ts'
export { verifyIssued, type VerifyChainOptions, verifyPeerChain } from './verify-chain.ts'
