// Names of @jamikit/media; nothing else.
export { media } from './media.ts'
