// Names of core/codec; nothing else.
export { compareBytes, concatBytes, equalBytes, fromBase64, fromHex, fromUtf8, joinBytes, toBase64, toHex, utf8 } from './bytes.ts'
export { asArray, asBool, asBytes, asInt, asMap, asString, asU64 } from './fields.ts'
export { sliceMsgpackMap } from './slices.ts'
export { cutText, wellFormed } from './text.ts'
export { decodeMsgpack, encodeMsgpack, MsgpackExt, type MsgpackInput, type MsgpackLimits, type MsgpackMap, MsgpackRaw, MsgpackStream, type MsgpackValue, readMsgpack } from './msgpack.ts'
export { deletedFileOf, FILE_TYPE, type FileAnnouncement, fileAnnouncementOf, fileIdOf, ownName, plainName } from './file-announcement.ts'
