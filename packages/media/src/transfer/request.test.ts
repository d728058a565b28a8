import type { ConversationId, DeviceId } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { parseRequest, requestName, startOf } from './request.ts'

const conversation = 'c'.repeat(40) as ConversationId
const device = 'd'.repeat(64) as DeviceId
const commit = 'f'.repeat(40)
const fileId = `${commit}_7.gz`

describe('channel names that ask for a file', () => {
  it('SWM-28 a first try has no query, a later one says where to go on and always end=0', () => {
    expect(requestName(conversation, device, fileId, 0)).toBe(`data-transfer://${conversation}/${device}/${fileId}`)
    expect(requestName(conversation, device, fileId, 300)).toBe(`data-transfer://${conversation}/${device}/${fileId}?start=300&end=0`)
  })

  it('what is written is read', () => {
    for (const start of [0, 300, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      const request = parseRequest(requestName(conversation, device, fileId, start))
      expect(request).toMatchObject({ conversation, device, message: commit })
      expect(startOf(request?.rest ?? '', fileId)).toBe(start)
    }
  })

  it.each([
    ['a slash', './x'], ['a question mark', '.a?b'], ['a query of its own', '.?end=1'], ['dots', '.'],
  ])('an extension with %s is compared whole', (_, extension) => {
    const id = `${commit}_7${extension}`
    expect(startOf(parseRequest(requestName(conversation, device, id, 5))?.rest ?? '', id)).toBe(5)
  })

  it.each([
    `data-transfer://${conversation}/${device}/../../${fileId}`, `data-transfer://../${device}/${fileId}`, `data-transfer://${conversation}/${fileId}`, `data-transfer://${conversation}/${device}/profile.vcf`,
    `data-transfer://${conversation}/${device}/${commit}`, `data-transfer://${conversation}/${device}/${commit}_`, `data-transfer:${conversation}/${device}/${fileId}`, `data-transfer://${conversation.toUpperCase()}/${device}/${fileId}`, '',
    `data-transfer://${conversation}/${device}/${commit}_${'7'.repeat(5000)}`,
  ])('SWM-S8 is no request: %s', (name) => expect(parseRequest(name)).toBeUndefined())

  it.each([`${fileId}x`, `${fileId}/..`, `${commit}_7`, `${commit}_8.gz`, `${fileId}?start=-1&end=0`, `${fileId}?start=1&end=5`, `${fileId}?start=1e3`, `${fileId}?start=99999999999999999&end=0`, `${fileId}?start=9007199254740993&end=0`, `${fileId}?`])(
    'SWM-S8 is not exactly this file, or not the rest of it: %s', (rest) => expect(startOf(rest, fileId)).toBeUndefined())

  it('queries of daemons: start and end in either order, end alone', () => {
    expect(startOf(`${fileId}?start=0&end=0`, fileId)).toBe(0)
    expect(startOf(`${fileId}?end=0&start=12`, fileId)).toBe(12)
    expect(startOf(`${fileId}?start=12`, fileId)).toBe(12)
    expect(startOf(`${fileId}?end=0`, fileId)).toBe(0)
  })
})
