// How many bytes a piece of code copies between buffers: what makes a stream decoder linear or not, told without a clock.

const proto = Object.getPrototypeOf(Uint8Array.prototype) as { set: Uint8Array['set']; slice: Uint8Array['slice'] }

/** Bytes that `fn` moves with `set` and `slice` of typed arrays. */
export function copiedBytes(fn: () => void): number {
  const { set, slice } = proto
  let copied = 0
  proto.set = function (this: Uint8Array, source, offset) {
    copied += source.length
    set.call(this, source, offset)
  }
  proto.slice = function (this: Uint8Array, from, to) {
    const out = slice.call(this, from, to)
    copied += out.length
    return out
  }
  try {
    fn()
  } finally {
    Object.assign(proto, { set, slice })
  }
  return copied
}
