// Names of jamikit/testing; nothing else.
export { createTestNetwork, type TestNetwork, type TestNetworkOptions } from './test-network.ts'
