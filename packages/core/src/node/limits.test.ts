// The guide has every limit that the code has, with its number.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { MAX_UNDER_WAY } from './acknowledger.ts'
import { BUFFER_SIZE, MAX_BUFFER_SIZE } from './event-hub.ts'
import {
  GRACE_MS, MAX_ACCOUNTS, MAX_DESCRIPTION_LENGTH, MAX_EMOJI_LENGTH, MAX_INVITED, MAX_KEY_LENGTH, MAX_LABEL_LENGTH, MAX_NAME_LENGTH, MAX_PASSWORD_LENGTH, MAX_PATH_LENGTH, MAX_PREFERENCE_LENGTH,
  MAX_PREFERENCES, MAX_QUERY_LENGTH, MAX_TEXT_LENGTH, MAX_TITLE_LENGTH,
} from './limits.ts'
import { MAX_EARLY } from './problems.ts'
import { MAX_CHANNELS_PER_PEER } from './protocols.ts'
import { MAX_CONTACTS } from '../account/contact-list.ts'
import { MAX_PENDING } from '../account/request-store.ts'

const guide = readFileSync(new URL('../../../../docs/guides/limits.md', import.meta.url), 'utf8').split('\n')

describe('docs/guides/limits.md', () => {
  it.each<[string, number]>([
    ['text of a message', MAX_TEXT_LENGTH], ['`idempotencyKey`', MAX_KEY_LENGTH], ['display name', MAX_NAME_LENGTH], ['label of an account', MAX_LABEL_LENGTH], ['password', MAX_PASSWORD_LENGTH],
    ['a reaction', MAX_EMOJI_LENGTH], ['`search()`', MAX_QUERY_LENGTH], ['group: title', MAX_TITLE_LENGTH], ['group: title', MAX_DESCRIPTION_LENGTH], ['members of', MAX_INVITED],
    ['preferences of', MAX_PREFERENCES], ['preferences of', MAX_PREFERENCE_LENGTH],
    ['path (', MAX_PATH_LENGTH], ['accounts of a node', MAX_ACCOUNTS], ['contacts of an account', MAX_CONTACTS], ['events that wait', BUFFER_SIZE], ['events that wait', MAX_BUFFER_SIZE],
    ['handled messages', MAX_UNDER_WAY], ['start-up problems', MAX_EARLY], ['contact requests', MAX_PENDING], ['open channels', MAX_CHANNELS_PER_PEER],
  ])('says of %s: %i', (what, limit) => {
    const row = guide.find((line) => line.startsWith(`| ${what}`)) ?? ''
    expect(row.match(/\d[\d,]*\d|\d/g)).toContain(limit.toLocaleString('en-US'))
  })

  it('says how long close() waits', () => {
    expect(guide.join('\n')).toContain(`\`graceMs\` (${GRACE_MS.toLocaleString('en-US')})`)
  })
})
